"""One worker of Kafka Connect, with Debezium on its class path, for the local stack."""

from __future__ import annotations

from pathlib import Path

from infra.jvm import java, properties_file, quiet_logging
from infra.part import Part
from infra.ready import http_status
from schemas.topics import MAX_RECORD_BYTES

HEAP_MB = 384


def worker_properties(
    port: int, kafka: str, listen: str = "127.0.0.1", name: str = "127.0.0.1", copies: int = 1
) -> dict[str, str | int]:
    topics = {f"{kind}.storage.topic": f"tidemill-connect.{kind}" for kind in ("config", "offset", "status")}
    replicas = {f"{kind}.storage.replication.factor": copies for kind in ("config", "offset", "status")}
    return {
        "bootstrap.servers": kafka,
        "group.id": "tidemill-connect",
        "listeners": f"http://{listen}:{port}",
        "rest.advertised.host.name": name,
        "rest.advertised.port": port,
        "plugin.discovery": "service_load",  # the jars are on one class path; scanning it takes seconds
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter.schemas.enable": "false",
        "value.converter.schemas.enable": "false",
        **topics,
        **replicas,
        "offset.storage.partitions": 1,
        "status.storage.partitions": 1,
        "offset.flush.interval.ms": 5_000,  # after a crash Debezium reads this much WAL again, so Postgres keeps it
        "connector.client.config.override.policy": "All",
        "producer.max.request.size": MAX_RECORD_BYTES,
        # There is one worker: no other can take its tasks over, so the default wait of 5 minutes gains nothing.
        "scheduled.rebalance.max.delay.ms": 0,
        # A worker killed with -9 blocks its successor for this long; the broker allows no less.
        "session.timeout.ms": 6_000,
        "heartbeat.interval.ms": 2_000,
        "task.shutdown.graceful.timeout.ms": 5_000,
    }


def prepare(data: Path, port: int, kafka: str, copies: int) -> Path:
    home = data / "connect"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "worker.properties"
    config.write_text(properties_file(worker_properties(port, kafka, copies=copies)))
    return config


def command(config: Path) -> tuple[str, ...]:
    logging = quiet_logging(info=("io.debezium", "org.apache.kafka.connect.runtime.distributed"))
    return java("org.apache.kafka.connect.cli.ConnectDistributed", str(config), heap_mb=HEAP_MB, properties=logging)


def part(data: Path, port: int, config: Path, class_path: str, brokers: tuple[str, ...]) -> Part:
    return Part(
        name="connect",
        argv=command(config),
        env={"CLASSPATH": class_path, "MALLOC_ARENA_MAX": "2"},
        log=data / "logs" / "connect.log",
        port=port,
        is_ready=lambda: http_status(port, "/health") == 200,
        uses=(*brokers, "postgres"),
        stop_seconds=15,
    )
