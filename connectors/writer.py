"""Writes records; finds a record that Postgres never accepts by halving the batch, and writes a problem instead."""

from __future__ import annotations

import time

import structlog

from connectors.batch import Batch, collect, problem
from connectors.ledger import REFUSALS, SUSPICIONS, Ledger
from connectors.record import Record
from connectors.sink_metrics import SinkMetrics
from schemas.errors import one_line
from schemas.reasons import ProblemCode

MOST_FAILURES = 12
"""Failures in a row: after so many, a batch of any size is a single record that has failed more than once."""

log = structlog.get_logger()


class Writer:
    """Counts failed writes in a row, across connections."""

    __slots__ = ("_failures", "_metrics", "_status_topic")

    def __init__(self, status_topic: str, metrics: SinkMetrics) -> None:
        self._status_topic = status_topic
        self._metrics = metrics
        self._failures = 0

    def batch_size(self, batch_records: int) -> int:
        """How many records to read: half as many after each failure, until one record is alone."""
        return max(1, batch_records >> self._failures)

    def write(self, ledger: Ledger, records: list[Record], ids: dict[str, str]) -> None:
        """Raises errors after which a retry may succeed."""
        self._failures += 1  # reset after success
        self._write(ledger, records, ids)
        self._failures = 0

    def _write(self, ledger: Ledger, records: list[Record], ids: dict[str, str]) -> None:
        """Write one transaction. If the database refuses a row, halve the batch until that row is alone."""
        try:
            self._commit(ledger, collect(records, self._status_topic, ids), len(records))
        except REFUSALS as error:
            if len(records) == 1:
                self._write_problem(ledger, records[0], ids, error)
                return
            half = len(records) // 2
            self._write(ledger, records[:half], ids)
            self._write(ledger, records[half:], ids)
        except SUSPICIONS as error:
            if len(records) > 1 or self._failures < MOST_FAILURES:
                raise
            self._write_problem(ledger, records[0], ids, error)

    def _write_problem(self, ledger: Ledger, record: Record, ids: dict[str, str], error: Exception) -> None:
        log.warning("status_refused", topic=record.topic, partition=record.partition, offset=record.offset)
        said = one_line(str(error).partition("\n")[0])
        reason = f"record {record.topic}@{record.offset} is refused by Postgres: {said}"
        row = problem(record, ids[record.topic], ProblemCode.STATUS_REFUSED, reason)
        ends = {(record.topic, record.partition): record.offset + 1}
        self._commit(ledger, Batch(runs=[], problems=[row], ends=ends), 1)

    def _commit(self, ledger: Ledger, batch: Batch, records: int) -> None:
        began = time.monotonic()
        ledger.write(batch)
        self._metrics.written(batch, records, time.monotonic() - began)
