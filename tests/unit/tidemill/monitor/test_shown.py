"""Gauges of the monitor: they are shown while their figures are known."""

from __future__ import annotations

from prometheus_client import generate_latest

from observe.catalogue.monitor import CLASS_EXECUTORS, OVERDUE_JOBS
from observe.registry import Registry
from tidemill.monitor.shown import Shown


def series(registry):
    return [line for line in generate_latest(registry.prometheus).decode().splitlines() if line.startswith("tidemill_")]


def test_a_gauge_has_no_series_before_its_figures_are_known_and_after_they_are_forgotten():
    registry, shown = Registry(), Shown()
    registry.add(shown)
    assert series(registry) == []
    shown.show(OVERDUE_JOBS, 2)
    shown.show(CLASS_EXECUTORS, {("1m",): 1.0, ("1h",): 0.0})
    assert series(registry) == [
        "tidemill_overdue_jobs 2.0",
        'tidemill_executors{class="1m"} 1.0',
        'tidemill_executors{class="1h"} 0.0',
    ]
    shown.forget(OVERDUE_JOBS)
    shown.show(CLASS_EXECUTORS, {("1h",): 1.0})
    assert series(registry) == ['tidemill_executors{class="1h"} 1.0']
