"""The metrics of the sink: what it has written, and what it has not written yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from connectors.batch import Batch
from connectors.record import Record
from observe.catalogue import sink as catalogue
from observe.registry import Registry


def _wall_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a figure for people: if this clock is off, so is the figure, and nothing else


class SinkMetrics:
    """The sink's loop reports here; the port's thread asks for the age of what waits."""

    __slots__ = (
        "_batch_records", "_differing", "_healed", "_interruptions", "_lag_records", "_lock", "_now", "_problems",
        "_seconds", "_waiting_since",
    )  # fmt: skip

    def __init__(self, registry: Registry, now: Callable[[], datetime] = _wall_clock) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._waiting_since: datetime | None = None
        self._lag_records = registry.gauge(catalogue.LAG_RECORDS)
        self._seconds = registry.histogram(catalogue.TRANSACTION_SECONDS)
        self._batch_records = registry.histogram(catalogue.BATCH_RECORDS)
        self._interruptions = registry.counter(catalogue.INTERRUPTIONS)
        self._problems = registry.counter(catalogue.PROBLEMS)
        self._differing = registry.gauge(catalogue.DEFINITIONS_DIFFERING)
        self._healed = registry.counter(catalogue.DEFINITIONS_HEALED)
        registry.gauge(catalogue.LAG_SECONDS).set_function(self._lag_seconds)

    def taken(self, records: Sequence[Record]) -> None:
        """The oldest of these records waits now."""
        with self._lock:
            self._waiting_since = min(record.at for record in records)

    def written(self, batch: Batch, records: int, seconds: float) -> None:
        """One transaction has committed."""
        self._seconds.observe(seconds)
        self._batch_records.observe(records)
        for row in batch.problems:
            self._problems.labels(row["kind"], row["code"]).inc()

    def waiting(self, lags: Mapping[str, int]) -> None:
        """The number of records that are not taken yet, by topic (without prefix); what was taken is written."""
        for topic, lag in lags.items():
            self._lag_records.labels(topic).set(lag)
        if not any(lags.values()):
            with self._lock:
                self._waiting_since = None

    def differing(self, count: int) -> None:
        """The number of jobs and DAGs that differ between Postgres and the streams."""
        self._differing.set(count)

    def healed(self, *, written: int, deleted: int) -> None:
        self._healed.labels("written").inc(written)
        self._healed.labels("deleted").inc(deleted)

    def interrupted(self) -> None:
        """The sink begins again; meanwhile it writes nothing."""
        self._interruptions.inc()
        self.stands()

    def stands(self) -> None:
        """Whether records wait is unknown from now on: a record that does is not older than this moment."""
        with self._lock:
            self._waiting_since = self._waiting_since or self._now()

    def _lag_seconds(self) -> float:
        with self._lock:
            since = self._waiting_since
        return 0.0 if since is None else max((self._now() - since).total_seconds(), 0.0)
