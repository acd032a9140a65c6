"""A client of a running local stack: rows in Postgres, objects in S3, records in Kafka, processes to signal."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import psycopg
from confluent_kafka import Message, Producer
from psycopg.types.json import Jsonb

from infra import stack
from schemas.codec import decode
from schemas.dispatch import Dispatch
from schemas.ids import RunId, request_run_id
from schemas.partition import partition_of
from schemas.status import RunStatus
from schemas.topics import STATUS, runs_topic
from schemas.words import RunState
from tests.support.servers.topic_records import read_committed
from tests.support.waiting import eventually
from tidemill.target import Row, connect, connections

JSON_COLUMNS = {"args", "env", "payload"}
FINAL_SECONDS = 60
_PROCESSES = ("jobs", "dag_nodes")
"""The tables whose rows name an executable."""
RESTART_SECONDS = 90
READ_SECONDS = 20


class StackClient:
    def __init__(self, data: Path, journals: Path | None = None) -> None:
        """`journals` is a folder that all jobs of this client unveil."""
        self.data, self.journals = data, journals
        self.connections = connections(data)
        self._database: psycopg.Connection[Row] | None = None
        self._s3 = boto3.client(
            "s3",
            endpoint_url=self.connections.s3_endpoint,
            aws_access_key_id=self.connections.s3_access_key,
            aws_secret_access_key=self.connections.s3_secret_key,
            region_name=self.connections.s3_region,
        )

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    # Postgres

    @property
    def database(self) -> psycopg.Connection[Row]:
        """The connection; a new one after Postgres closed the last."""
        if self._database is None or self._database.closed:
            self._database = connect(self.connections.postgres_dsn)
        return self._database

    def rows(self, query: str, values: Any = None) -> list[Row]:
        """Retries once on a new connection, as a restart of Postgres breaks the old one."""
        try:
            return self.database.execute(query, values).fetchall()
        except psycopg.OperationalError:
            return self.database.execute(query, values).fetchall()

    def now(self) -> datetime:
        return self.rows("select clock_timestamp() as now")[0]["now"]

    def put_job(self, job_id: str, executable: str, **columns: Any) -> None:
        self.insert("jobs", job_id=job_id, executable=executable, **columns)

    def edit_job(self, job_id: str, **columns: Any) -> None:
        changes = ", ".join(f'"{name}" = %({name})s' for name in columns)
        self.database.execute(f"update jobs set {changes} where job_id = %(job_id)s", _plain(columns, job_id=job_id))

    def delete_job(self, job_id: str) -> None:
        self.database.execute("delete from jobs where job_id = %s", [job_id])

    def request(self, job_id: str, request_id: str, **columns: Any) -> RunId:
        self.insert("requests", job_id=job_id, request_id=request_id, **columns)
        return request_run_id(job_id, request_id)

    def insert(self, table: str, **columns: Any) -> None:
        if self.journals and table in _PROCESSES:
            columns.setdefault("unveil", [f"rw:{self.journals}"])
        names = ", ".join(f'"{name}"' for name in columns)
        marks = ", ".join(f"%({name})s" for name in columns)
        self.database.execute(f"insert into {table} ({names}) values ({marks})", _plain(columns))

    def run(self, run_id: str) -> Row | None:
        return next(iter(self.rows("select * from runs where run_id = %s", [run_id])), None)

    def runs_of(self, job_id: str) -> list[Row]:
        return self.rows("select * from runs where job_id = %s order by nominal_time", [job_id])

    def attempts(self, run_id: str) -> list[Row]:
        return self.rows("select * from attempts where run_id = %s order by attempt, token", [run_id])

    def transitions(self, run_id: str) -> list[Row]:
        return self.rows("select * from transitions where run_id = %s order by version", [run_id])

    def wait_until_final(self, run_id: str, seconds: float = FINAL_SECONDS) -> Row:
        """Returns the run's row."""
        return self._wait_for_run(run_id, lambda row: RunState(row["state"]).is_final, seconds, "a final state")

    def wait_for_state(self, run_id: str, *states: str, seconds: float = FINAL_SECONDS) -> Row:
        return self._wait_for_run(run_id, lambda row: row["state"] in states, seconds, " or ".join(states))

    def _wait_for_run(self, run_id: str, matches: Any, seconds: float, what: str) -> Row:
        def look() -> Row | None:
            row = self.run(run_id)
            return row if row and matches(row) else None

        return eventually(look, seconds, lambda: f"{what} of {run_id}, which is {self.run(run_id)},")  # type: ignore[return-value]

    # S3

    def put_object(self, key: str, body: bytes) -> str:
        bucket = self.connections.s3_bucket
        self._s3.put_object(Bucket=bucket, Key=key, Body=body)
        return f"s3://{bucket}/{key}"

    def put_script(self, name: str, text: str) -> str:
        return self.put_object(f"tests/{name}", f"#!/bin/sh\n{text}\n".encode())

    # Kafka

    def read(self, topic: str) -> list[Message]:
        """All committed records, ordered by partition and offset."""
        return read_committed(self.connections, topic)

    def write(self, topic: str, key: str, value: bytes, partition: int | None = None) -> None:
        home = partition_of(key, self.connections.partitions) if partition is None else partition
        producer = Producer(self.connections.kafka())
        producer.produce(self.connections.topic(topic), value, key, home)
        assert producer.flush(READ_SECONDS) == 0

    def history(self, jobs: str) -> list[RunStatus]:
        """All `status` records of jobs whose id starts with `jobs`, ordered by partition and offset."""
        mine = (each.value() for each in self.read(STATUS) if each.key().decode().startswith(jobs))
        return [decode(value, RunStatus) for value in mine if value is not None]

    def dispatches(self, jobs: str) -> dict[tuple[str, int], list[Dispatch]]:
        """(class, partition) -> dispatches of jobs whose id starts with `jobs`."""
        found: dict[tuple[str, int], list[Dispatch]] = {}
        for name in self.connections.timeout_classes.split(","):
            for message in self.read(runs_topic(name)):
                if message.key().decode().startswith(jobs):
                    found.setdefault((name, message.partition()), []).append(decode(message.value(), Dispatch))
        return found

    # Processes

    def pid(self, name: str) -> int | None:
        """The process's pid; None if it is not running or not ready."""
        seen = stack.status(self.data)
        assert seen is not None, "the stack is gone"
        running = {each["name"]: each["pid"] for each in seen.processes if each["state"] == "running"}
        return running.get(name)

    def signal(self, name: str, number: signal.Signals) -> int:
        """Returns the pid of the signaled process."""
        pid = eventually(lambda: self.pid(name), RESTART_SECONDS, f"{name} ready to be killed")
        assert isinstance(pid, int)
        os.kill(pid, number)
        return pid

    def kill(self, name: str) -> int:
        return self.signal(name, signal.SIGKILL)

    def wait_for_restart(self, name: str, dead: int) -> None:
        """Waits until `name` is ready with another pid than `dead`."""
        eventually(lambda: self.pid(name) not in {None, dead}, RESTART_SECONDS, f"the restart of {name}")


def _plain(columns: dict[str, Any], **more: Any) -> dict[str, Any]:
    json = {name: Jsonb(columns[name]) for name in JSON_COLUMNS & columns.keys() if columns[name] is not None}
    return columns | json | more
