"""Writes what was read; a record that can never be written is found among the others and set aside as a problem."""

from __future__ import annotations

import structlog

from connectors.batch import Batch, collect, problem
from connectors.ledger import REFUSALS, SUSPICIONS, Ledger
from connectors.record import Record
from schemas.reasons import ProblemCode

MOST_FAILURES = 12
"""In a row; by then a batch of any size has become a single record, and that has failed more than once."""

log = structlog.get_logger()


class Writer:
    """What it remembers outlives a connection: how many writes in a row have failed."""

    __slots__ = ("_failures", "_status_topic")

    def __init__(self, status_topic: str) -> None:
        self._status_topic = status_topic
        self._failures = 0

    def most(self, batch_records: int) -> int:
        """So many records to take: half as many with each failure, so that what never goes well is found to be one."""
        return max(1, batch_records >> self._failures)

    def write(self, ledger: Ledger, records: list[Record], ids: dict[str, str]) -> None:
        """Raises what may go well the next time."""
        self._failures += 1  # until it has gone well
        self._write(ledger, records, ids)
        self._failures = 0

    def _write(self, ledger: Ledger, records: list[Record], ids: dict[str, str]) -> None:
        """Write one transaction. If the database refuses a row, halve the batch until that row is alone."""
        try:
            ledger.write(collect(records, self._status_topic, ids))
        except REFUSALS as error:
            if len(records) == 1:
                _set_aside(ledger, records[0], ids, error)
                return
            half = len(records) // 2
            self._write(ledger, records[:half], ids)
            self._write(ledger, records[half:], ids)
        except SUSPICIONS as error:
            if len(records) > 1 or self._failures < MOST_FAILURES:
                raise
            _set_aside(ledger, records[0], ids, error)


def _set_aside(ledger: Ledger, record: Record, ids: dict[str, str], error: Exception) -> None:
    log.warning("status_refused", topic=record.topic, partition=record.partition, offset=record.offset)
    row = problem(record, ids[record.topic], ProblemCode.STATUS_REFUSED, f"Postgres refused it: {error}")
    ledger.write(Batch(runs=[], problems=[row], ends={(record.topic, record.partition): record.offset + 1}))
