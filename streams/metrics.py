"""The metrics and the health of a stream worker: its threads report here, and its port reads from here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime, timedelta

import msgspec
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from observe.catalogue import streams as m
from observe.health import Health, Loop
from observe.metric import Metric
from observe.registry import Registry, gauge_family
from schemas.codec import committed_at
from schemas.kept_clock import KeptClock
from streams.clock import boot_seconds
from streams.owner.failures import RetryQuarantinedError
from streams.owner.figures import Figures
from streams.owner.records import InRecord, Transaction
from streams.owner.session_calls import LogFailedError
from streams.owner.stall_detector import Observation

EVENT_LOOP_LIMIT = timedelta(seconds=30)
"""The longest work of one turn is to ask, for 10 s, whether another process has this worker's name."""
CLOCK_LIMIT = timedelta(seconds=30)
"""A round lasts 7 s if no broker answers."""
WATCHDOG_LIMIT = timedelta(seconds=60)
"""It turns with every question; one lasts 5 s without an answer, and there are 5 s between two checks."""
HEARTBEATS_LIMIT = timedelta(seconds=60)
"""It turns with every batch; to find out why a partition is silent may take 25 s."""
PARTITION_LIMIT = timedelta(seconds=120)
"""It turns with every call and every entry of `state`. Without brokers the longest call waits for less than a minute,
and to rebuild the memory of 100,000 jobs takes seconds. The watchdog acts before, at `stall_limit`, where it can."""
FIGURES_SECONDS = 0.9
"""Below the second in which an idle owner turns, so that each such turn shows new figures."""


class Readiness:
    """What the readiness of a worker follows from. The worker holds its lock around every use."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self.is_assigned = False
        """The group has decided which partitions the worker gets. It may be none: then it is ready to get some."""
        self.has_brokers = True
        """The brokers answered the last questions of the watchdog."""

    def tell(self, unrecovered: Collection[int]) -> None:
        """Say so to the health; `unrecovered`: the assigned partitions whose owner decides nothing at the moment."""
        if not self.has_brokers:
            self._health.not_ready("Kafka does not answer")
        elif not self.is_assigned:
            self._health.not_ready("its group has not assigned partitions to it yet")
        elif unrecovered:
            self._health.not_ready(f"it takes over the partitions {', '.join(map(str, sorted(unrecovered)))}")
        else:
            self._health.ready()


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What one partition thread shows at the moment."""

    partition: int
    is_deciding: bool = False
    """Its owner has recovered and has not failed since."""
    figures: Figures | None = None
    """None: it has no owner."""
    watermark: datetime | None = None
    """The last known one, also after its owner has failed: while Kafka is away, the lag goes on growing."""


class StreamMetrics:
    """Thread-safe."""

    def __init__(self, registry: Registry, health: Health, *, has_readers: bool) -> None:
        """`has_readers`: the port is open, so the figures of owners are worth taking."""
        self.health, self.has_readers = health, has_readers
        self.seen: Observation | None = None
        """What the watchdog saw in its last check; None: the brokers did not answer."""
        self._registry = registry
        self.transaction_seconds = registry.histogram(m.TRANSACTION_SECONDS)
        self.transaction_records = registry.histogram(m.TRANSACTION_RECORDS)
        self.transaction_bytes = registry.histogram(m.TRANSACTION_BYTES)
        self.recovery_seconds = registry.histogram(m.RECOVERY_SECONDS)
        self.failures = registry.counter(m.OWNER_FAILURES)
        self.cdc_lag = registry.histogram(m.CDC_LAG)

    def show(self, threads: Callable[[], Iterable[Shown]], clock: KeptClock) -> None:
        """Ask at each scrape what the threads show."""
        self._registry.gauge(m.CLOCK_STEADY).set_function(lambda: float(clock.is_steady))
        self._registry.add(OwnersCollector(threads, lambda: self.seen, clock.now))


class PartitionMetrics:
    """What one partition thread reports. Only that thread calls it; any thread may read `shown`."""

    def __init__(self, partition: int, metrics: StreamMetrics) -> None:
        self.shown = Shown(partition=partition)
        self._metrics = metrics
        self._loop: Loop = metrics.health.loop(f"partition {partition}", PARTITION_LIMIT)
        self._fenced_at: float | None = None
        self._next_figures = 0.0

    def turn(self) -> None:
        self._loop.turn()

    def look(self, figures: Callable[[], Figures | None]) -> None:
        """Show the figures of the owner, if the last ones are old."""
        if not self._metrics.has_readers or boot_seconds() < self._next_figures:
            return
        self._next_figures = boot_seconds() + FIGURES_SECONDS
        found = figures()
        watermark = found.watermark if found else self.shown.watermark
        self.shown = msgspec.structs.replace(self.shown, figures=found, watermark=watermark)

    def fences(self) -> None:
        self._fenced_at = boot_seconds()

    def recovered(self) -> None:
        if self._fenced_at is not None:
            self._metrics.recovery_seconds.observe(boot_seconds() - self._fenced_at)
        self._fenced_at, self._next_figures = None, 0.0
        self.shown = msgspec.structs.replace(self.shown, is_deciding=True)

    def committed(self, transaction: Transaction, seconds: float, now: datetime) -> None:
        """`now`: the cluster time after the commit."""
        metrics = self._metrics
        metrics.transaction_seconds.observe(seconds)
        metrics.transaction_records.observe(len(transaction.records))
        metrics.transaction_bytes.observe(sum(len(each.value) for each in transaction.records if each.value))
        lag = _cdc_lag(transaction.first_captured, now) if metrics.has_readers else None
        if lag is not None:
            metrics.cdc_lag.observe(lag)

    def failed(self, error: Exception, *, as_planned: bool) -> None:
        """The owner is gone. `as_planned`: another worker has taken its partition over."""
        if not as_planned:
            self._metrics.failures.labels(_cause(error)).inc()
        self._fenced_at = None
        self.shown = msgspec.structs.replace(self.shown, is_deciding=False, figures=None)

    def end(self) -> None:
        """The thread ends."""
        self._metrics.health.end(self._loop)


class OwnersCollector(Collector):
    """Asked at each scrape: the series of a partition exist while this worker has a thread for it."""

    def __init__(
        self,
        threads: Callable[[], Iterable[Shown]],
        seen: Callable[[], Observation | None],
        now: Callable[[], datetime],
    ) -> None:
        self._threads, self._seen, self._now = threads, seen, now

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return (gauge_family(each) for each in _OF_OWNERS)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        shown, now = _one_each(self._threads()), self._now()
        families = {each.name: gauge_family(each) for each in _OF_OWNERS}

        def add(metric: Metric, value: float, *labels: str) -> None:
            families[metric.name].add_metric(labels, value)

        for each in shown:
            partition = str(each.partition)
            add(m.OWNED, each.is_deciding, partition)
            if each.watermark:
                add(m.WATERMARK_LAG, _seconds_since(each.watermark, now), partition)
            for metric, value, *labels in _samples(each.figures, now) if each.figures else ():
                add(metric, value, partition, *labels)
        for topic, of, lag in _applied_lags(self._seen(), {each.partition for each in shown}):
            add(m.APPLIED_LAG, lag, str(of), topic)
        return families.values()


_OF_OWNERS = (
    m.OWNED, m.WATERMARK_LAG, m.APPLIED_LAG, m.READY_RUNS, m.READY_OLDEST, m.UNMET_RUNS, m.HELD_RUNS, m.JOBS,
    m.QUARANTINED, m.UNSCHEDULED,
)  # fmt: skip


def _one_each(threads: Iterable[Shown]) -> list[Shown]:
    """One for each partition. During a handover back to this worker there are two: the one that decides counts."""
    found: dict[int, Shown] = {}
    for each in sorted(threads, key=lambda each: each.is_deciding):
        found[each.partition] = each
    return [found[partition] for partition in sorted(found)]


def _samples(figures: Figures, now: datetime) -> Iterator[tuple[Metric, float] | tuple[Metric, float, str]]:
    yield m.HELD_RUNS, figures.held
    yield m.JOBS, figures.jobs
    yield m.QUARANTINED, figures.quarantined
    yield m.UNSCHEDULED, figures.unscheduled
    for name, each in figures.waiting.items():
        yield m.READY_RUNS, each.count, name
        yield m.READY_OLDEST, _seconds_since(each.oldest, now) if each.oldest else 0.0, name
        yield m.UNMET_RUNS, each.unmet, name


def _seconds_since(then: datetime, now: datetime) -> float:
    return max((now - then).total_seconds(), 0.0)


def _applied_lags(seen: Observation | None, shown: set[int]) -> Iterator[tuple[str, int, int]]:
    """(topic, partition, offsets that are not applied)"""
    if seen is None:
        return
    for (topic, partition), applied in seen.applied.items():
        if partition in shown:
            yield topic, partition, max(seen.ends[topic, partition] - 1 - applied, 0)


def _cause(error: Exception) -> str:
    match error:
        case LogFailedError():
            return "kafka"
        case RetryQuarantinedError():
            return "retry"
        case _:
            return "core"


def _cdc_lag(captured: InRecord | None, now: datetime) -> float | None:
    at = committed_at(captured.value) if captured and captured.value else None
    return None if at is None else _seconds_since(at, now)
