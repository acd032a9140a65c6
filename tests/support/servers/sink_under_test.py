"""One sink under test: its topics, its database, its processes, and the rows it wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psycopg
from confluent_kafka import KafkaError, Message, Producer

from connectors.cluster import establish
from connectors.roles import DEFAULT_PREFIX
from infra.process_roles import dsn_as, set_passwords
from schemas.codec import encode
from schemas.partition import partition_of
from schemas.settings import AgreedSettings, Connections
from schemas.status import RunStatus
from schemas.topics import STATUS
from tests.support.observed import reserved_port
from tests.support.waiting import eventually

FLUSH_SECONDS = 60
EXIT_SECONDS = 15
TABLES = {
    "runs": "select * from tidemill.runs order by run_id, nominal_time",
    "attempts": "select * from tidemill.attempts order by run_id, attempt, token",
    "transitions": "select * from tidemill.transitions order by run_id, version",
    "problems": "select * from tidemill.problems order by topic_id, partition, record_offset",
}


class SinkBench:
    def __init__(self, bootstrap: str, dsn: str, prefix: str, folder: Path) -> None:
        self.connections = Connections(kafka_bootstrap=bootstrap, postgres_dsn=dsn, topic_prefix=prefix, partitions=4)
        self.log = folder / "sink.log"
        self._port = reserved_port(folder)
        self.observed = self._port.__enter__()
        """The port of the sink that `start_observed` starts."""
        self.processes: list[subprocess.Popen[bytes]] = []
        set_passwords(dsn)
        self.database = psycopg.connect(dsn, autocommit=True)
        establish(self.connections, AgreedSettings())

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        settings = {
            "TIDEMILL_KAFKA_BOOTSTRAP": self.connections.kafka_bootstrap,
            "TIDEMILL_POSTGRES_DSN": dsn_as(self.connections.postgres_dsn, f"{DEFAULT_PREFIX}sink"),
            "TIDEMILL_TOPIC_PREFIX": self.connections.topic_prefix,
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "connectors.sink"], env={**os.environ, **settings, **environment}, stderr=log
            )
        self.processes.append(process)
        return process

    def start_observed(self) -> subprocess.Popen[bytes]:
        return self.start(TIDEMILL_OBSERVE_LISTEN=self.observed.address)

    def close(self) -> None:
        self.database.close()
        self._port.__exit__(None, None, None)
        for process in self.processes:
            process.kill()
            process.wait(EXIT_SECONDS)

    def produce(self, statuses: Iterable[RunStatus]) -> int:
        return self.produce_raw((status.job_id, status.run_id, encode(status)) for status in statuses)

    def produce_raw(self, records: Iterable[tuple[str, str, bytes | None]]) -> int:
        """Writes (owner, key, value) records to `status`; returns their number."""
        producer = Producer(self.connections.kafka(linger_ms=5))
        count = 0
        for owner, key, value in records:
            partition = partition_of(owner, self.connections.partitions)
            producer.produce(self.connections.topic(STATUS), value, key=key, partition=partition, on_delivery=_accepted)
            producer.poll(0)
            count += 1
        assert producer.flush(FLUSH_SECONDS) == 0
        return count

    def consumed(self) -> int:
        """The number of records below the stored offsets."""
        (total,) = self.database.execute("select coalesce(sum(next_offset), 0) from tidemill.sink_offsets").fetchone()
        return int(total)

    def wait_for(self, count: int, seconds: float = 60) -> None:
        eventually(
            lambda: self.consumed() >= count, seconds, lambda: f"{self.consumed()} of {count}\n{self.log_text()}"
        )

    def log_text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def tables(self) -> dict[str, list[tuple[object, ...]]]:
        return {name: self.database.execute(query).fetchall() for name, query in TABLES.items()}

    def forget_offsets(self) -> None:
        self.database.execute("select set_config('tidemill.sink', 'on', false)")
        self.database.execute("update tidemill.sink_offsets set next_offset = 0")


def _accepted(error: KafkaError | None, _message: Message) -> None:
    assert error is None, error
