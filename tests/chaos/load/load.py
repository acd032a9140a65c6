"""A load on a running stack: jobs, DAGs, requests, edits, stops and reruns by one seed, and a journal of all of it."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Self

import orjson
import psycopg
from confluent_kafka import KafkaError, Message, Producer

from schemas.topics import REQUESTS
from tests.chaos.judge.history import Asked, Defined, Outcome
from tests.chaos.load import database as statements
from tests.chaos.load.client_program import copy_psql
from tests.chaos.load.journal import Journal
from tests.chaos.load.plan import Ask, Define, Step, owners, steps, without_schedule
from tests.chaos.load.programs import PROGRAM
from tests.support.stack_client import StackClient
from tidemill.target import Row, connect

ACKNOWLEDGED_SECONDS = 90
FINISH_SECONDS = 120
RETRY_SECONDS = 0.2
CLIENT = "client"
"""The folder of `psql`."""
LOAD_JOURNAL, PROCESS_JOURNAL = "load.jsonl", "processes.jsonl"


class Load:
    """A context manager: the load begins at once, and goes on through faults until `finish`."""

    def __init__(
        self, client: StackClient, folder: Path, seed: int, *, per_second: float = 3.0, jobs_dsn: str | None = None
    ) -> None:
        """`folder` gets both journals; every user may write there.

        `jobs_dsn` is the database of the load and of fenced processes; default: the client's.
        """
        self._client, self._seed, self._per_second = client, seed, per_second
        self._dsn = jobs_dsn or client.connections.postgres_dsn
        self._kept: psycopg.Connection[Row] | None = None
        self._stopping = threading.Event()
        self._give_up_at = float("inf")
        self._error: Exception | None = None
        self.folder, self.owners = folder, owners(seed)
        folder.mkdir(parents=True, exist_ok=True)
        self._processes = folder / PROCESS_JOURNAL
        self._processes.touch()
        os.chmod(folder, 0o777)  # noqa: PTH101 - attempts may be other users
        os.chmod(self._processes, 0o666)  # noqa: PTH101
        self._journal = Journal(folder / LOAD_JOURNAL, seed)
        self._producer = Producer({**client.connections.kafka(enable_idempotence=True), "log_level": 2})
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Self:
        first = self._database()
        first.execute(statements.EFFECTS)
        uri = self._client.put_object(f"tests/chaos/{self._seed}", PROGRAM.encode())
        psql = copy_psql(self.folder / CLIENT)
        self._programs = statements.Programs(uri, self._processes, self._seed, self._dsn, psql)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._journal.close()
        if self._kept is not None:
            self._kept.close()

    def switch(self, dsn: str) -> None:
        """From now on, the load writes to another Postgres."""
        self._dsn = dsn

    def finish(self) -> None:
        """Ends the load: takes away all schedules, so that nothing is due any more. Call it when all is healed."""
        self._stopping.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        self._stopping.clear()
        self._give_up_at = time.monotonic() + FINISH_SECONDS
        for each in self.owners:
            self._carry_out(Define(owner=without_schedule(each)))
        if self._producer.flush(ACKNOWLEDGED_SECONDS):
            self._producer.purge()  # Kafka gave no answer, so the journal says "unknown"
            self._producer.flush(ACKNOWLEDGED_SECONDS)

    def _run(self) -> None:
        pauses = random.Random(f"{self._seed}/pauses")
        try:
            for each in self.owners:
                self._carry_out(Define(owner=each))
            for step in steps(self._seed):
                if self._stopping.wait(pauses.expovariate(self._per_second)):
                    return
                self._carry_out(step)
                self._producer.poll(0)
        except Exception as error:  # noqa: BLE001 - `finish` raises it again
            self._error = error

    def _carry_out(self, step: Step) -> None:
        if isinstance(step, Ask) and step.door == "kafka":
            self._produce(step)
            return
        sent = self._journal.now()
        outcome, said, at = self._answer(step)
        answered = self._journal.now()
        if isinstance(step, Define):
            spec = None if step.deleted else step.owner.spec
            self._journal.write(
                Defined(
                    sent=sent,
                    answered=answered,
                    outcome=outcome,
                    owner=step.owner.name,
                    said=said,
                    database_time=at,
                    spec=spec,
                )
            )
        else:
            due = self._run_at(step) if outcome == "accepted" and step.run_in_seconds is not None else None
            self._journal.write(_asked(step, sent, answered, outcome, said, at, due))

    def _answer(self, step: Step) -> tuple[Outcome, str, datetime | None]:
        """Repeats the step on a new connection until Postgres says yes or no, or the load is stopped."""
        while True:
            try:
                database = self._database()
                if isinstance(step, Define):
                    return "accepted", "", statements.define(database, step, self._programs)
                return "accepted", "", statements.ask(database, step)
            except psycopg.errors.IntegrityError as error:
                return "refused", str(error).partition("\n")[0], None
            except psycopg.Error as error:
                self._drop()
                if self._stopping.wait(RETRY_SECONDS) or time.monotonic() > self._give_up_at:
                    return "unknown", str(error).partition("\n")[0], None

    def _run_at(self, step: Ask) -> datetime | None:
        try:
            return statements.run_at(self._database(), step)
        except psycopg.Error:
            self._drop()
            return None

    def _database(self) -> psycopg.Connection[Row]:
        if self._kept is None or self._kept.closed:
            self._kept = connect(self._dsn)
        return self._kept

    def _drop(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _produce(self, step: Ask) -> None:
        sent = self._journal.now()
        value = orjson.dumps({"request_id": step.request_id, "job_id": step.owner})
        topic = self._client.connections.topic(REQUESTS)
        self._producer.produce(topic, value, key=step.owner, on_delivery=self._acknowledged(step, sent))

    def _acknowledged(self, step: Ask, sent: datetime) -> Callable[[KafkaError | None, Message], None]:
        def on_delivery(error: KafkaError | None, _: Message) -> None:
            outcome: Outcome = "unknown" if error else "accepted"
            said = str(error) if error else ""
            self._journal.write(_asked(step, sent, self._journal.now(), outcome, said, None, None))

        return on_delivery


def _asked(
    step: Ask,
    sent: datetime,
    answered: datetime,
    outcome: Outcome,
    said: str,
    at: datetime | None,
    due: datetime | None,
) -> Asked:
    return Asked(
        sent=sent,
        answered=answered,
        outcome=outcome,
        owner=step.owner,
        said=said,
        database_time=at,
        request_id=step.request_id,
        kind=step.kind,
        door=step.door,
        run_id=step.run_id,
        run_at=due,
    )
