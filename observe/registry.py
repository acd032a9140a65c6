"""Makes the metrics of one process out of the catalogue, with every series that is known at the start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from observe.metric import Kind, Metric

M = TypeVar("M", bound=MetricWrapperBase)


class Registry:
    """The metrics of one process. Each is made once; the objects that it returns are thread-safe."""

    def __init__(self) -> None:
        self.prometheus = CollectorRegistry()
        ProcessCollector(registry=self.prometheus)

    def counter(self, metric: Metric, **known: Iterable[str]) -> Counter:
        """`known`: values of labels that the process learns when it starts, such as the classes of a deployment."""
        assert metric.kind is Kind.COUNTER, metric.name
        made = Counter(metric.name, metric.says, metric.labels, registry=self.prometheus)
        return _started(made, metric, known)

    def gauge(self, metric: Metric, **known: Iterable[str]) -> Gauge:
        assert metric.kind is Kind.GAUGE, metric.name
        return _started(Gauge(metric.name, metric.says, metric.labels, registry=self.prometheus), metric, known)

    def histogram(self, metric: Metric, **known: Iterable[str]) -> Histogram:
        assert metric.kind is Kind.HISTOGRAM, metric.name
        made = Histogram(metric.name, metric.says, metric.labels, registry=self.prometheus, buckets=metric.buckets)
        return _started(made, metric, known)

    def add(self, collector: Collector) -> None:
        """Ask a collector at each scrape, for figures that only a snapshot has."""
        self.prometheus.register(collector)


def gauge_family(metric: Metric) -> GaugeMetricFamily:
    """A family without samples, for a collector that fills it at a scrape."""
    assert metric.kind is Kind.GAUGE, metric.name
    return GaugeMetricFamily(metric.name, metric.says, labels=metric.labels)


def _started(made: M, metric: Metric, known: dict[str, Iterable[str]]) -> M:
    """Make each known series; without a value for one of the labels, none."""
    values = {**metric.values, **{label: tuple(each) for label, each in known.items()}}
    if metric.labels and all(label in values for label in metric.labels):
        for combination in _combinations(metric, values):
            made.labels(*combination)
    return made


def _combinations(metric: Metric, values: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    return product(*(values[label] for label in metric.labels))
