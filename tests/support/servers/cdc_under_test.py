"""Postgres, Kafka and Connect as in the local stack, and a reader of the topic `cdc`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from psycopg.conninfo import make_conninfo

from connectors import apply, migrate, topics
from connectors.settings import SourceSettings
from infra import postgres, process_roles, stack
from infra.credentials import credentials
from infra.ports import Ports
from infra.process import spawn
from infra.settings import InfraSettings
from schemas.codec import decode_captured
from schemas.job import Definition
from schemas.request import Request
from schemas.settings import Connections
from schemas.topics import CDC
from tests.support.waiting import eventually

PARTITIONS = 4
STOP_SECONDS = 30.0
METADATA_SECONDS = 15.0


class CdcBench:
    def __init__(self, data: Path, connections: Connections) -> None:
        self.data = data
        self.connections = connections

    def database(self) -> psycopg.Connection:
        return psycopg.connect(self.connections.postgres_dsn, autocommit=True)

    def as_superuser(self) -> psycopg.Connection:
        dsn = make_conninfo(self.connections.postgres_dsn, user=postgres.SUPERUSER)
        return psycopg.connect(dsn, autocommit=True)

    def insert_request(self, request_id: str, job_id: str) -> None:
        with self.database() as connection:
            connection.execute(
                "insert into tidemill.requests (request_id, job_id) values (%s, %s)", [request_id, job_id]
            )

    def slot(self) -> tuple[object, ...] | None:
        """(wal_status, active) of the only replication slot."""
        with self.database() as connection:
            return connection.execute("select wal_status, active from pg_replication_slots").fetchone()

    def kill(self, part: str) -> int:
        """Kills with SIGKILL; the stack restarts the part. Returns the dead pid."""
        pid = self._pid(part)
        assert pid is not None
        os.kill(pid, 9)
        return pid

    def wait_for_restart(self, part: str, dead: int) -> None:
        eventually(lambda: self._pid(part) not in {None, dead}, 60, f"the restart of {part}")

    def port(self, part: str) -> int | None:
        found = stack.status(self.data)
        assert found is not None
        return next(each["port"] for each in found.processes if each["name"] == part)

    def _pid(self, part: str) -> int | None:
        found = stack.status(self.data)
        assert found is not None
        return next(each["pid"] for each in found.processes if each["name"] == part and each["state"] != "stopped")

    def _environment(self) -> dict[str, str]:
        names = ("postgres_dsn", "topic_prefix", "connect_url", "connect_postgres_user", "connect_postgres_password")
        ours = {f"TIDEMILL_{name.upper()}": getattr(self.connections, name) for name in names}
        return stack.environment(self.data) | ours

    @contextmanager
    def supervisor(self, **environment: str) -> Iterator[Callable[[], str]]:
        """Runs `python -m connectors.supervisor`; yields a function that returns its log."""
        with tempfile.NamedTemporaryFile("rb", prefix="tidemill-") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "connectors.supervisor"],
                env={
                    **os.environ,
                    **self._environment(),
                    "TIDEMILL_SUPERVISE_INTERVAL": "PT0.3S",
                    **environment,
                },
                stderr=Path(log.name).open("ab"),  # noqa: SIM115 - the child keeps it open
            )

            def log_text() -> str:
                return Path(log.name).read_text()

            try:
                eventually(log_text, what="the supervisor's first log line")  # earlier, SIGTERM would kill it
                yield log_text
            finally:
                process.terminate()
                assert process.wait(STOP_SECONDS) == 0


class CdcReader:
    """Reads `cdc` from its present end on."""

    def __init__(self, connections: Connections) -> None:
        self.seen: list[Definition | Request] = []
        self.places: list[tuple[str, int]] = []
        self._consumer = Consumer(connections.kafka(group_id="test", auto_offset_reset="earliest"))
        places = [TopicPartition(connections.topic(CDC), number) for number in range(connections.partitions)]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, METADATA_SECONDS)[1]
        self._consumer.assign(places)

    def close(self) -> None:
        self._consumer.close()

    def wait_for_request(self, request_id: str, seconds: float = 60) -> Request:
        found = self.wait_for(lambda value: isinstance(value, Request) and value.request_id == request_id, seconds)
        assert isinstance(found, Request)
        return found

    def wait_for(self, is_it: Callable[[Definition | Request], bool], seconds: float = 60) -> Definition | Request:
        """Returns the next record for which `is_it` holds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            message = self._consumer.poll(0.1)
            if message is None or message.error():
                continue
            value = decode_captured(message.value() or b"")
            self.seen.append(value)
            self.places.append(((message.key() or b"").decode(), message.partition() or 0))
            if is_it(value):
                return value
        raise AssertionError(f"the record did not arrive within {seconds} s; the last ones are {self.seen[-5:]}")


@contextmanager
def running_cdc() -> Iterator[CdcBench]:
    with (
        tempfile.TemporaryDirectory(prefix="tidemill-cdc-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        data = Path(folder)
        data.chmod(0o755)  # Postgres's user has to enter it
        stack.start_detached(
            stack.StackOptions(data=data, partitions=PARTITIONS, servers_only=True, until_parent_exits=True)
        )
        try:
            for name, value in stack.environment(data).items():
                patch.setenv(name, value)
            connections = Connections()
            migrate.migrate(connections.postgres_dsn)
            process_roles.set_passwords(connections.postgres_dsn)
            _apply(connections)
            yield CdcBench(data, connections)
        finally:
            stack.stop(data, STOP_SECONDS)


@contextmanager
def with_little_wal(bench: CdcBench, names: SourceSettings) -> Iterator[CdcBench]:
    """Adds a connector under other names, to a second Postgres that keeps little WAL for a slot."""
    settings = InfraSettings()
    with tempfile.TemporaryDirectory(prefix="tidemill-postgres-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        data.chmod(0o755)
        keys = credentials(data)
        ports = Ports(data, settings.cache.expanduser(), ["postgres"])
        part = postgres.part(
            data, ports.by_name["postgres"], postgres.prepare(data, settings.postgres_home, keys, print)
        )
        process = spawn(msgspec.structs.replace(part, argv=(*part.argv, "-c", "max_slot_wal_keep_size=1MB")))
        try:
            eventually(part.is_ready, what="the start of Postgres")
            dsn = postgres.dsn(ports.by_name["postgres"], keys, postgres.SUPERUSER)
            own = {"connect_postgres_user": postgres.SUPERUSER, "connect_postgres_password": keys.postgres_password}
            found = bench.connections.model_copy(update={"postgres_dsn": dsn, "topic_prefix": "little.", **own})
            migrate.migrate(dsn)
            _apply(found, names)
            yield CdcBench(bench.data, found)
        finally:
            process.send_signal(part.stop_signal)
            process.wait(part.stop_seconds)
            ports.close()


def _apply(connections: Connections, settings: SourceSettings | None = None) -> None:
    topics.create(connections)
    apply.apply_connector(connections, settings)
