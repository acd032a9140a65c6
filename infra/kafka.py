"""One Kafka node (KRaft: broker and controller in one process) for the local stack."""

from __future__ import annotations

import base64
import subprocess
import uuid
from pathlib import Path

from infra.errors import StackError
from infra.jvm import java, properties_file, quiet_logging
from infra.part import Part
from infra.ready import kafka_answers
from schemas.topics import MAX_RECORD_BYTES

HEAP_MB = 448
FORMAT_SECONDS = 60


def server_properties(home: Path, port: int, controller_port: int, reached: int | None = None) -> dict[str, str | int]:
    """`reached`: the port that clients use, if it is not the broker's own."""
    return {
        "node.id": 1,
        "process.roles": "broker,controller",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{reached or port}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "log.dirs": str(home / "log"),
        # The design needs these settings on any broker (docker-compose.yml has the same).
        **DESIGN,
        # After kill -9 the broker can register again only when its former session has expired.
        "broker.session.timeout.ms": 4_000,
        "broker.heartbeat.interval.ms": 1_000,
        # Small: one node, two cores, no replicas (`infra.brokers` has those of three nodes).
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "num.recovery.threads.per.data.dir": 1,
        "log.cleaner.threads": 1,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    }


DESIGN: dict[str, str | int] = {
    "auto.create.topics.enable": "false",
    "log.message.timestamp.type": "LogAppendTime",
    "message.max.bytes": MAX_RECORD_BYTES,
    "replica.fetch.max.bytes": MAX_RECORD_BYTES,
    # After an executor is killed, its partitions stay idle for this long; the default is 45 s.
    "group.consumer.session.timeout.ms": 10_000,
    "group.consumer.min.session.timeout.ms": 6_000,
    # A member receives newly assigned partitions with its next heartbeat.
    "group.consumer.heartbeat.interval.ms": 500,
    "group.consumer.min.heartbeat.interval.ms": 500,
    "group.min.session.timeout.ms": 3_000,
    "group.initial.rebalance.delay.ms": 0,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
}


def prepare(data: Path, port: int, controller_port: int, class_path: str, reached: int | None = None) -> Path:
    """Write the configuration; at the first start, format the log folder."""
    home = data / "kafka"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "server.properties"
    config.write_text(properties_file(server_properties(home, port, controller_port, reached)))
    if not is_formatted(home):
        format_log(config, class_path, new_cluster_id())
    return config


def is_formatted(home: Path) -> bool:
    return (home / "log" / "meta.properties").exists()


def new_cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()


def format_log(config: Path, class_path: str, cluster_id: str, *options: str) -> None:
    # One id in 64 starts with a dash, and after `-t` the tool would parse it as an option.
    arguments = ("format", f"--cluster-id={cluster_id}", "-c", str(config), *options)
    command = java("kafka.tools.StorageTool", *arguments, heap_mb=128)
    done = subprocess.run(
        command, env={"CLASSPATH": class_path}, capture_output=True, text=True, timeout=FORMAT_SECONDS, check=False
    )
    if done.returncode != 0:
        raise StackError(f"Kafka's log folder could not be formatted: {done.stderr.strip() or done.stdout.strip()}")


def part(data: Path, port: int, config: Path, class_path: str, *, name: str = "kafka", heap_mb: int = HEAP_MB) -> Part:
    return Part(
        name=name,
        argv=java(
            "kafka.Kafka",
            str(config),
            heap_mb=heap_mb,
            properties=quiet_logging(info=("kafka.server.KafkaRaftServer", "org.apache.kafka.common.utils")),
        ),
        env={"CLASSPATH": class_path, "MALLOC_ARENA_MAX": "2"},
        log=data / "logs" / f"{name}.log",
        port=port,
        is_ready=lambda: kafka_answers(port),
        stop_seconds=15,
    )
