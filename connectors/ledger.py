"""Writes the sink's offsets and the read model into Postgres, both in one transaction (protocol S1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg
from psycopg import errors

from connectors.batch import Batch, Filed, Row, filed_with_rows, run_rows, story_rows, to_json
from connectors.record import PartitionId
from connectors.statements import sql
from schemas.errors import TidemillError

CONNECT_SECONDS = 10
REFUSALS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.NotSupportedError,
    errors.CardinalityViolation,
    errors.ProgramLimitExceeded,
    # `to_json` cannot encode the row.
    TypeError,
    ValueError,
    OverflowError,
)
"""Errors of a row that Postgres will never accept; after any other error a retry may succeed."""
SUSPICIONS = (errors.QueryCanceled, psycopg.InternalError)
"""Errors that a row may cause, or a temporary state: the row causes them if they repeat with this row alone."""

SESSION = " ".join(
    f"-c {option}"
    for option in (
        # If a crash of Postgres loses a commit, it loses the offsets, too: the sink reads the records again.
        "synchronous_commit=off",
        "lock_timeout=10s",
        "statement_timeout=120s",
        "TimeZone=UTC",
        # Only sessions with this option may write the read model.
        "tidemill.sink=on",
        # Every statement looks up many primary keys: a plan from the time of small tables must not stay a scan.
        "enable_seqscan=off",
        "enable_hashjoin=off",
        "enable_mergejoin=off",
    )
)


class StaleOffsetsError(TidemillError):
    """Another sink has moved the offsets, and has written these records."""


class Ledger:
    """One connection, with the stored offsets and the weeks that have table partitions."""

    __slots__ = ("_connection", "_offsets", "_topic_ids", "_weeks")

    def __init__(self, connection: psycopg.Connection, topic_ids: dict[str, str]) -> None:
        self._connection = connection
        self._topic_ids = topic_ids
        self._weeks: set[date] = set()
        self._offsets: dict[PartitionId, int] = {}

    def load_offsets(self, partitions: list[PartitionId]) -> dict[PartitionId, int]:
        """The next offset to read, by partition."""
        rows = [_partition_row(topic, number) | {"topic_id": self._topic_ids[topic]} for topic, number in partitions]
        found = self._rows("load_offsets", rows).fetchall()
        self._offsets = {(topic, number): next_offset for topic, number, next_offset in found}
        return dict(self._offsets)

    def check(self) -> None:
        """Whether Postgres answers. Raises `psycopg.OperationalError`."""
        self._connection.execute("select 1")

    def write(self, batch: Batch) -> None:
        """Write the batch and its offsets. Raises `StaleOffsetsError`; one of `REFUSALS` if Postgres refuses a row."""
        filed = batch.filed | self._filed_before(batch)
        weeks = batch.weeks(filed)
        try:
            self._make_weeks(set(weeks))
            with self._connection.transaction():
                self._advance(batch)
                self._rows("write_weeks", [{"week": week, "last_at": at} for week, at in weeks.items()])
                self._write_rows(batch, filed)
        except BaseException:
            self._weeks.clear()  # retention may have dropped some of them
            raise
        self._offsets |= batch.ends

    def _filed_before(self, batch: Batch) -> Filed:
        """Asks before the transaction: if another sink writes meanwhile, the transaction fails (protocol S1)."""
        rows = filed_with_rows(batch.runs, batch.filed)
        return dict(self._rows("filed_before", rows).fetchall()) if rows else {}

    def _make_weeks(self, weeks: set[date]) -> None:
        """Make the partitions that retention has not made ahead, each in its own transaction."""
        for week in sorted(weeks - self._weeks):
            self._connection.execute(sql("make_week"), {"day": week})
            self._weeks.add(week)

    def _advance(self, batch: Batch) -> None:
        moves = [
            _partition_row(topic, number)
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
            for runs in (batch.earlier, batch.runs):
                newer = [run for run in runs if run.run_id in written]
                if newer:
                    self._rows("write_stories", story_rows(newer, filed))

    def _rows(self, statement: str, rows: list[Row]) -> psycopg.Cursor:
        """Execute one statement for all rows, which are one JSON parameter."""
        return self._connection.execute(sql(statement), {"rows": to_json(rows)})


@contextmanager
def open_ledger(dsn: str, topic_ids: dict[str, str]) -> Iterator[Ledger]:
    connection = psycopg.connect(
        dsn, autocommit=True, connect_timeout=CONNECT_SECONDS, options=SESSION, application_name="tidemill-sink"
    )
    with connection:
        yield Ledger(connection, topic_ids)


def _partition_row(topic: str, number: int) -> dict[str, Any]:
    return {"topic": topic, "partition": number}
