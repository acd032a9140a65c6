"""Metrics for parts of an executor that a test makes itself, and the value of one series."""

from __future__ import annotations

from executors.metrics import Metrics
from observe.registry import Registry

CLASSES = ("10s", "1m")


def new_metrics(registry=None):
    return Metrics(registry or Registry(), CLASSES)


def value(registry, series, **labels):
    """None: there is no such series."""
    return registry.prometheus.get_sample_value(series, labels)
