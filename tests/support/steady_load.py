"""A steady load of requests that continues while servers are down, and a journal of executions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
import psycopg
from confluent_kafka import KafkaError, Message, Producer

from schemas.ids import RunId, request_run_id
from schemas.topics import REQUESTS
from tests.support.stack_client import StackClient
from tests.support.waiting import eventually
from tidemill.target import Row, connect

BATCH_SECONDS = 0.05
POSTGRES_SECONDS = 60
KAFKA_SECONDS = 60
INSERT = """
insert into requests (request_id, job_id) select * from unnest(%s::text[], %s::text[]) on conflict do nothing
"""


def execution_script(journal: Path) -> str:
    """A script that appends one line to the journal: run and attempt."""
    return f'echo "$TIDEMILL_RUN_ID $TIDEMILL_ATTEMPT" >> {journal}'


def alive_script(journal: Path, ticks: int) -> str:
    """A script that appends run, attempt and time (ns) to the journal five times per second."""
    line = '"$TIDEMILL_RUN_ID $TIDEMILL_ATTEMPT $(date +%s%N)"'
    return f"i=0; while [ $i -lt {ticks} ]; do echo {line} >> {journal}; sleep 0.2; i=$((i+1)); done"


def executions(journal: Path) -> list[tuple[str, int]]:
    """Each journal line of `execution_script` as (run, attempt)."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [(run_id, int(attempt)) for run_id, attempt, *_ in map(str.split, lines)]


def ticks(journal: Path) -> list[tuple[str, int, int]]:
    """Each journal line of `alive_script` as (run, attempt, nanoseconds)."""
    return [(run_id, int(attempt), int(at)) for run_id, attempt, at in map(str.split, journal.read_text().splitlines())]


def wait_for_duration(stack: StackClient, length: timedelta) -> None:
    """Waits until Postgres's clock has advanced by `length`, the duration of a fault."""
    until = stack.now() + length
    eventually(lambda: stack.now() > until, 2 * length.total_seconds() + 10, "the end of the fault")


class SteadyLoad:
    """A context manager that sends requests at a steady rate, spread over `jobs`; any server may be down meanwhile.

    Half of the requests are rows. The others are records in an arbitrary partition; some requests are both.
    """

    def __init__(self, stack: StackClient, jobs: list[str], per_second: int, ids: str | None = None) -> None:
        """`ids` begins the ids of the requests: two loads on the same jobs need two. None: the first job's id."""
        self._ids = jobs[0] if ids is None else ids
        self._stack, self._jobs, self._per_second = stack, jobs, per_second
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self._error: Exception | None = None
        self._producer = Producer({**stack.connections.kafka(enable_idempotence=True), "log_level": 2})
        self._sent = 0
        self.accepted: list[RunId] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        unsent = self._producer.flush(KAFKA_SECONDS)
        assert error or not unsent, f"{unsent} requests were not acknowledged by Kafka within {KAFKA_SECONDS} s"
        if self._error and error is None:
            raise self._error

    def _run(self) -> None:
        database = connect(self._stack.connections.postgres_dsn)
        started = time.monotonic()
        try:
            while not self._stopping.wait(BATCH_SECONDS):
                due = int((time.monotonic() - started) * self._per_second)
                numbers = range(self._sent, due)
                self._write([number for number in numbers if number % 2])
                database = self._send(database, [number for number in numbers if not number % 2 or not number % 5])
                self._sent = due
        except Exception as error:  # noqa: BLE001 - __exit__ raises it again
            self._error = error
        finally:
            database.close()

    def _write(self, numbers: list[int]) -> None:
        topic, partitions = self._stack.connections.topic(REQUESTS), self._stack.connections.partitions
        for number in numbers:
            job_id, request_id = self._job(number), self._request(number)
            run_id = request_run_id(job_id, request_id)
            value = orjson.dumps({"request_id": request_id, "job_id": job_id})
            self._producer.produce(topic, value, partition=number % partitions, on_delivery=self._accept(run_id))
        self._producer.poll(0)

    def _accept(self, run_id: RunId) -> Callable[[KafkaError | None, Message], None]:
        def on_delivery(error: KafkaError | None, _: Message) -> None:
            if error is None:
                self.accepted.append(run_id)

        return on_delivery

    def _job(self, number: int) -> str:
        return self._jobs[number % len(self._jobs)]

    def _request(self, number: int) -> str:
        return f"{self._ids}{number}"

    def _send(self, database: psycopg.Connection[Row], numbers: list[int]) -> psycopg.Connection[Row]:
        """Retries until Postgres acknowledges, with the same ids; returns the connection in use."""
        jobs, requests = [*map(self._job, numbers)], [*map(self._request, numbers)]
        while True:
            try:
                database.execute(INSERT, [requests, jobs])
            except psycopg.OperationalError:
                database = self._reconnect()
            else:
                self.accepted += map(request_run_id, jobs, requests)
                return database

    def _reconnect(self) -> psycopg.Connection[Row]:
        found = eventually(self._connection, POSTGRES_SECONDS, "a new connection to Postgres")
        assert isinstance(found, psycopg.Connection)
        return found

    def _connection(self) -> psycopg.Connection[Row] | None:
        try:
            return connect(self._stack.connections.postgres_dsn)
        except psycopg.OperationalError:
            return None
