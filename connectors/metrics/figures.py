"""The figures that the fold changes: counters, gauges and histograms as plain values by metric and labels."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TypeAlias

import msgspec

from observe.metric import Kind, Metric

Labels: TypeAlias = tuple[str, ...]
"""The values of a metric's labels, in their order."""
_MILLISECOND = timedelta(milliseconds=1)


class Times(msgspec.Struct, array_like=True):
    """A histogram. Integers, so that its sum does not depend on the order in which partitions are read."""

    counts: list[int]
    """By bucket, not cumulative; the last one is above all bounds."""
    total_ms: int = 0


class Figures:
    """All series of `metrics`; a series that was never touched and is not known at the start does not exist."""

    __slots__ = ("counts", "metrics", "times")

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = tuple(metrics)
        histograms = [each for each in self.metrics if each.kind is Kind.HISTOGRAM]
        self.counts: dict[str, dict[Labels, int]] = {each.name: {} for each in self.metrics if each not in histograms}
        self.times: dict[str, dict[Labels, Times]] = {each.name: {} for each in histograms}

    def start(self, metric: Metric, series: Iterable[Labels]) -> None:
        """Let these series exist at 0."""
        for labels in series:
            if metric.kind is Kind.HISTOGRAM:
                self.times[metric.name].setdefault(labels, _none_yet(metric))
            else:
                self.counts[metric.name].setdefault(labels, 0)

    def add(self, metric: Metric, *labels: str, by: int = 1) -> None:
        series = self.counts[metric.name]
        series[labels] = series.get(labels, 0) + by

    def observe(self, metric: Metric, length: timedelta, *labels: str) -> None:
        """A negative length, from clocks that differ, counts as 0."""
        ms = max(length // _MILLISECOND, 0)
        times = self.times[metric.name].get(labels)
        if times is None:
            times = self.times[metric.name][labels] = _none_yet(metric)
        times.counts[bisect_left(metric.buckets, ms / 1000)] += 1
        times.total_ms += ms

    def histograms(self) -> Iterator[Metric]:
        return (each for each in self.metrics if each.kind is Kind.HISTOGRAM)


def _none_yet(metric: Metric) -> Times:
    return Times(counts=[0] * (len(metric.buckets) + 1))
