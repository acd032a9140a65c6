"""Gauges that are shown while their figures are known: what the monitor cannot see now has no series."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from observe.metric import Kind, Metric
from observe.registry import gauge_family

Figures = Mapping[tuple[str, ...], float]
"""A figure for each combination of the labels' values."""


class Shown(Collector):
    """Thread-safe: the loops of the monitor write, and each scrape reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures: dict[str, tuple[Metric, Figures]] = {}

    def show(self, metric: Metric, figures: Figures | float) -> None:
        """Replace all series of a metric."""
        assert metric.kind is Kind.GAUGE, metric.name
        given: Figures = {(): figures} if isinstance(figures, float | int) else figures
        with self._lock:
            self._figures[metric.name] = (metric, given)

    def forget(self, *metrics: Metric) -> None:
        """The figures are not known any more."""
        with self._lock:
            for metric in metrics:
                self._figures.pop(metric.name, None)

    def collect(self) -> Iterator[Family]:
        with self._lock:
            known = list(self._figures.values())
        for metric, figures in known:
            family = gauge_family(metric)
            for labels, figure in figures.items():
                family.add_metric(labels, figure)
            yield family

    def describe(self) -> list[Family]:
        """None: at the start no figure is known."""
        return []
