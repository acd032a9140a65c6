"""An S3 server over a folder (S3Proxy) for the local stack."""

from __future__ import annotations

from pathlib import Path

from infra.credentials import Credentials
from infra.files import write_private
from infra.jvm import java, properties_file
from infra.part import Part
from infra.ready import http_status

HEAP_MB = 96


def prepare(data: Path, port: int, keys: Credentials) -> Path:
    return write_config(data / "s3", port, keys.s3_access_key, keys.s3_secret_key)


def write_config(home: Path, port: int, access_key: str, secret_key: str, listen: str = "127.0.0.1") -> Path:
    (home / "buckets").mkdir(parents=True, exist_ok=True)
    values: dict[str, str | int] = {
        "s3proxy.endpoint": f"http://{listen}:{port}",
        "s3proxy.authorization": "aws-v2-or-v4",
        "s3proxy.identity": access_key,
        "s3proxy.credential": secret_key,
        "jclouds.provider": "filesystem-nio2",
        "jclouds.filesystem.basedir": str(home / "buckets"),
    }
    config = home / "s3proxy.properties"
    write_private(config, properties_file(values).encode())
    (home / "logback.xml").write_text(LOGBACK)
    return config


def command(config: Path) -> tuple[str, ...]:
    logging = {"logback.configurationFile": str(config.with_name("logback.xml"))}
    return java("org.gaul.s3proxy.Main", "--properties", str(config), heap_mb=HEAP_MB, properties=logging)


LOGBACK = """<configuration>
  <appender name="stderr" class="ch.qos.logback.core.ConsoleAppender">
    <target>System.err</target>
    <encoder><pattern>%d{yyyy-MM-dd HH:mm:ss.SSS} %-5level %logger{20} %msg%n</pattern></encoder>
  </appender>
  <root level="warn"><appender-ref ref="stderr"/></root>
</configuration>
"""
"""Without this file, logback writes every debug line of the server."""


def part(data: Path, port: int, config: Path, class_path: str) -> Part:
    return Part(
        name="s3",
        argv=command(config),
        env={"CLASSPATH": class_path, "MALLOC_ARENA_MAX": "2"},
        log=data / "logs" / "s3.log",
        port=port,
        is_ready=lambda: http_status(port, "/") is not None,
        stop_seconds=5,
    )
