"""A metric as data: its name, type, labels, meaning and remedy. docs/metrics.md shows all of them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)
"""The upper bounds of every histogram of times; 5 s is one of them, because the objective for late starts is 5 s."""
COUNTS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
BYTES = (1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0)


class Kind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One family of series. `values` has the values of a label that are known when the process starts: each of these
    series exists at 0 from the start, so that `increase()` sees the first event.
    """

    name: str
    """As Prometheus shows it: a counter ends in `_total`."""
    kind: Kind
    says: str
    """What it means; one sentence, which is also its HELP text."""
    do: str
    """What to do if it is bad; one sentence, or `nothing`."""
    labels: tuple[str, ...] = ()
    values: dict[str, tuple[str, ...]] = {}
    buckets: tuple[float, ...] = ()


def counter(name: str, says: str, do: str, *labels: str, values: dict[str, Iterable[str]] | None = None) -> Metric:
    return _metric(Kind.COUNTER, name, says, do, labels, values)


def gauge(name: str, says: str, do: str, *labels: str, values: dict[str, Iterable[str]] | None = None) -> Metric:
    return _metric(Kind.GAUGE, name, says, do, labels, values)


def histogram(
    name: str,
    says: str,
    do: str,
    *labels: str,
    values: dict[str, Iterable[str]] | None = None,
    buckets: tuple[float, ...] = SECONDS,
) -> Metric:
    return _metric(Kind.HISTOGRAM, name, says, do, labels, values, buckets)


def _metric(
    kind: Kind,
    name: str,
    says: str,
    do: str,
    labels: tuple[str, ...],
    values: dict[str, Iterable[str]] | None,
    buckets: tuple[float, ...] = (),
) -> Metric:
    known = {label: tuple(each) for label, each in (values or {}).items()}
    return Metric(name=name, kind=kind, says=says, do=do, labels=labels, values=known, buckets=buckets)
