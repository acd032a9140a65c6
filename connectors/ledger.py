"""The sink's side of Postgres: its offsets and the read model, changed together or not at all (protocol S1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg
from psycopg import errors

from connectors.batch import Batch, Filed, Row, filed_with_rows, run_rows, story_rows, to_json
from connectors.statements import sql
from schemas.errors import TidemillError

CONNECT_SECONDS = 10
REFUSALS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.NotSupportedError,
    errors.CardinalityViolation,
    errors.ProgramLimitExceeded,
    # The row cannot even be put into words.
    TypeError,
    ValueError,
    OverflowError,
)
"""What is said of a row that Postgres will never take; everything else may go well the next time."""
SUSPICIONS = (errors.QueryCanceled, psycopg.InternalError)
"""What may be the fault of a row, or of the moment: it is if it happens time after time with the row alone."""

SESSION = " ".join(
    f"-c {option}"
    for option in (
        # A commit that a crash of Postgres undoes takes the offsets with it: it is read again.
        "synchronous_commit=off",
        "lock_timeout=10s",
        "statement_timeout=120s",
        "TimeZone=UTC",
        # The one session that may write the read model.
        "tidemill.sink=on",
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
    """One connection, and what is known of the database: the stored offsets, and the weeks that have partitions."""

    __slots__ = ("_connection", "_offsets", "_topic_ids", "_weeks")

    def __init__(self, connection: psycopg.Connection, topic_ids: dict[str, str]) -> None:
        self._connection = connection
        self._topic_ids = topic_ids
        self._weeks: set[date] = set()
        self._offsets: dict[PartitionId, int] = {}

    def load_offsets(self, partitions: list[PartitionId]) -> dict[PartitionId, int]:
        """Where to read on."""
        rows = [_place(topic, number) | {"topic_id": self._topic_ids[topic]} for topic, number in partitions]
        found = self._rows("load_offsets", rows).fetchall()
        self._offsets = {(topic, number): next_offset for topic, number, next_offset in found}
        return dict(self._offsets)

    def write(self, batch: Batch) -> None:
        """All of the batch and its offsets. Raises `StaleOffsetsError`; one of `REFUSALS` if a row is impossible."""
        filed = batch.filed | self._filed_before(batch)
        weeks = batch.weeks(filed)
        try:
            self._make_weeks(set(weeks))
            with self._connection.transaction():
                self._advance(batch)
                self._rows("write_weeks", [{"week": week, "last_at": at} for week, at in weeks.items()])
                self._write_rows(batch, filed)
        except BaseException:
            self._weeks.clear()  # some may have been dropped by somebody since
            raise
        self._offsets |= batch.ends

    def _filed_before(self, batch: Batch) -> Filed:
        """Asked before the transaction: if another sink has written meanwhile, that changes nothing (protocol S1)."""
        rows = filed_with_rows(batch.runs, batch.filed)
        return dict(self._rows("filed_before", rows).fetchall()) if rows else {}

    def _make_weeks(self, weeks: set[date]) -> None:
        """Those that retention has not made ahead: of a replay, or after a long absence. A transaction for each."""
        for week in sorted(weeks - self._weeks):
            self._connection.execute(sql("make_week"), {"day": week})
            self._weeks.add(week)

    def _advance(self, batch: Batch) -> None:
        moves = [
            _place(topic, number)
            | {"topic_id": self._topic_ids[topic], "expected": self._offsets[topic, number], "next_offset": end}
            for (topic, number), end in sorted(batch.ends.items())
        ]
        moved = self._rows("advance_offsets", moves).rowcount
        if moved != len(moves):
            raise StaleOffsetsError

    def _write_rows(self, batch: Batch, filed: Filed) -> None:
        if batch.problems:
            self._rows("write_problems", batch.problems)
        if batch.runs:
            written = {run_id for (run_id,) in self._rows("write_runs", run_rows(batch.runs, filed)).fetchall()}
            for lives in (batch.earlier, batch.runs):
                told = [run for run in lives if run.run_id in written]
                if told:
                    self._rows("write_stories", story_rows(told, filed))

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
