"""The sink's side of Postgres: its offsets and the read model, changed together or not at all (protocol S1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg
from psycopg import errors

from connectors.batch import Batch, Row, attempt_rows, kept_rows, run_rows, to_json, transition_rows
from connectors.statements import sql
from schemas.errors import TidemillError
from schemas.status import RunStatus

CONNECT_SECONDS = 10
REFUSALS = (psycopg.DataError, psycopg.IntegrityError, errors.CardinalityViolation, errors.ProgramLimitExceeded)
"""What Postgres says of a row that it will never take; everything else may go well the next time."""

SESSION = " ".join(
    f"-c {option}"
    for option in (
        # A commit that a crash of Postgres undoes takes the offsets with it: it is read again.
        "synchronous_commit=off",
        "lock_timeout=10s",
        "statement_timeout=120s",
        # Every statement is many look-ups by primary key; a plan made while the tables were small must not stay a scan.
        "enable_seqscan=off",
        "enable_hashjoin=off",
        "enable_mergejoin=off",
    )
)

PartitionId = tuple[str, int]


class StaleOffsetsError(TidemillError):
    """Another sink has moved the offsets: what was read here is written there."""


class Ledger:
    """One connection, and what is known of the database: the stored offsets, and the days that have partitions."""

    __slots__ = ("_connection", "_days", "_offsets", "_topic_ids")

    def __init__(self, connection: psycopg.Connection, topic_ids: dict[str, str]) -> None:
        self._connection = connection
        self._topic_ids = topic_ids
        self._days: set[date] = set()
        self._offsets: dict[PartitionId, int] = {}

    def load_offsets(self, partitions: list[PartitionId]) -> dict[PartitionId, int]:
        """Where to read on."""
        rows = [_place(topic, number) | {"topic_id": self._topic_ids[topic]} for topic, number in partitions]
        found = self._rows("load_offsets", rows).fetchall()
        self._offsets = {(topic, number): next_offset for topic, number, next_offset in found}
        return dict(self._offsets)

    def write(self, batch: Batch) -> None:
        """All of the batch and its offsets. Raises `StaleOffsetsError`; one of `REFUSALS` if a row is impossible."""
        try:
            with self._connection.transaction():
                self._advance(batch)
                self._ensure_partitions(batch)
                self._write_rows(batch)
        except BaseException:
            self._days.clear()  # some may have been made by this transaction, or dropped by somebody since
            raise
        self._days |= batch.days
        self._offsets |= batch.ends

    def _advance(self, batch: Batch) -> None:
        moves = [
            _place(topic, number)
            | {"topic_id": self._topic_ids[topic], "expected": self._offsets[topic, number], "next_offset": end}
            for (topic, number), end in sorted(batch.ends.items())
        ]
        moved = self._rows("advance_offsets", moves).rowcount
        if moved != len(moves):
            raise StaleOffsetsError

    def _ensure_partitions(self, batch: Batch) -> None:
        missing = batch.days - self._days
        if missing:
            self._connection.execute(sql("ensure_partitions"), {"days": sorted(missing)})

    def _write_rows(self, batch: Batch) -> None:
        if batch.problems:
            self._rows("write_problems", batch.problems)
        if batch.runs:
            written = {run_id for (run_id,) in self._rows("write_runs", run_rows(batch.runs)).fetchall()}
            for lives in (batch.earlier, batch.runs):
                self._write_story([run for run in lives if run.run_id in written])

    def _write_story(self, runs: list[RunStatus]) -> None:
        if runs:
            self._rows("drop_unkept", kept_rows(runs))
            self._rows("write_attempts", attempt_rows(runs))
            self._rows("write_transitions", transition_rows(runs))

    def _rows(self, statement: str, rows: list[Row]) -> psycopg.Cursor:
        """One statement for all rows: they travel as one JSON parameter."""
        return self._connection.execute(sql(statement), {"rows": to_json(rows)})


@contextmanager
def open_ledger(dsn: str, topic_ids: dict[str, str]) -> Iterator[Ledger]:
    connection = psycopg.connect(
        dsn, autocommit=True, connect_timeout=CONNECT_SECONDS, options=SESSION, application_name="tidemill-sink"
    )
    with connection:
        yield Ledger(connection, topic_ids)


def _place(topic: str, number: int) -> dict[str, Any]:
    return {"topic": topic, "partition": number}
