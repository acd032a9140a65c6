"""Runs Connect or S3 in a container: `python -m infra.serve connect|s3`, with the jars of the local stack."""

from __future__ import annotations

import os
import sys

from infra import connect, jars, s3
from infra.errors import StackError
from infra.jvm import properties_file
from infra.settings import InfraSettings
from schemas.settings import Connections, read


def connect_command(settings: InfraSettings, connections: Connections) -> tuple[str, ...]:
    config = settings.serve_data / "worker.properties"
    values = connect.worker_properties(
        settings.serve_port, connections.kafka_bootstrap, settings.serve_listen, settings.serve_name
    )
    config.write_text(properties_file(values))
    return connect.command(config)


def s3_command(settings: InfraSettings, connections: Connections) -> tuple[str, ...]:
    if connections.s3_access_key is None or connections.s3_secret_key is None:
        raise StackError(
            "TIDEMILL_S3_ACCESS_KEY and TIDEMILL_S3_SECRET_KEY are not set: this S3 server accepts only these keys."
        )
    keys = (connections.s3_access_key, connections.s3_secret_key)
    return s3.command(s3.write_config(settings.serve_data, settings.serve_port, *keys, listen=settings.serve_listen))


SERVERS = {"connect": (connect_command, "kafka"), "s3": (s3_command, "s3")}


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main(server: str) -> None:
    """Never returns: the server replaces this process, so that it receives the container's signals."""
    settings = read(InfraSettings)
    settings.serve_data.mkdir(parents=True, exist_ok=True)
    command, bundle = SERVERS[server]
    class_path = jars.class_paths(settings.cache, _say)
    argv = command(settings, read(Connections))
    os.execve(argv[0], argv, {**os.environ, "CLASSPATH": class_path[bundle], "MALLOC_ARENA_MAX": "2"})  # noqa: S606 - see above


if __name__ == "__main__":
    main(sys.argv[1])
