"""Shows the figures to Prometheus at each scrape, once they are complete."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import accumulate, product

from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from connectors.metrics.figures import Figures, Labels, Times
from connectors.metrics.fold import Fold
from observe.catalogue import status as catalogue
from observe.catalogue.status import LATE_KINDS, LATENESS, NO_CLASS, OTHER
from observe.metric import Kind, Metric
from observe.registry import gauge_family
from schemas.words import RunKind


class Exposition(Collector):
    """Shows only the lag before `is_complete` is set: after a restart a figure must not be lower than it was."""

    def __init__(self, fold: Fold) -> None:
        self.lock = threading.Lock()
        """A thread holds it while it reads or changes the fold."""
        self.is_complete = False
        self.lag = 0
        self._fold = fold
        start_series(fold)

    def describe(self) -> Iterable[Family]:
        return ()

    def collect(self) -> list[Family]:
        with self.lock:
            lag = gauge_family(catalogue.READ_LAG)
            lag.add_metric([], self.lag)
            if not self.is_complete:
                return [lag]
            successes = [self._successes()] if self._fold.options.successes else []
            return [lag, *successes, *(_family(self._fold.figures, each) for each in self._fold.figures.metrics)]

    def _successes(self) -> Family:
        metric = catalogue.LAST_SUCCESS
        family = gauge_family(metric)
        for job_id, at in self._fold.successes.items():
            family.add_metric([job_id], at.timestamp())
        return family


def start_series(fold: Fold) -> None:
    """Each series whose labels are known exists at 0 from the start, so that `increase()` sees the first event."""
    known = {"class": (*fold.options.classes, NO_CLASS, OTHER), "tenant": (OTHER,), "job_id": (OTHER,)}
    for metric in fold.figures.metrics:
        values = known | metric.values
        series = product(*(values[label] for label in metric.labels))
        fold.figures.start(metric, _possible(series) if metric is LATENESS else series)


def _possible(series: Iterable[Labels]) -> Iterator[Labels]:
    """A DAG run has no class, and the others have one."""
    dag = RunKind.DAG.value
    assert dag in LATE_KINDS
    return ((kind, name) for kind, name in series if (kind == dag) == (name == NO_CLASS))


def _family(figures: Figures, metric: Metric) -> Family:
    match metric.kind:
        case Kind.COUNTER:
            counter = CounterMetricFamily(metric.name, metric.says, labels=metric.labels)
            for labels, count in figures.counts[metric.name].items():
                counter.add_metric(labels, count)
            return counter
        case Kind.GAUGE:
            gauge = gauge_family(metric)
            for labels, count in figures.counts[metric.name].items():
                gauge.add_metric(labels, count)
            return gauge
        case Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(metric.name, metric.says, labels=metric.labels)
            for labels, times in figures.times[metric.name].items():
                histogram.add_metric(labels, _buckets(metric, times), times.total_ms / 1000)
            return histogram


def _buckets(metric: Metric, times: Times) -> list[tuple[str, float]]:
    bounds = [*map(str, metric.buckets), "+Inf"]
    return list(zip(bounds, map(float, accumulate(times.counts)), strict=True))
