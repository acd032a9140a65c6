"""docs/metrics.md matches the catalogue of metrics, and each metric follows the rules of OpenMetrics."""

from __future__ import annotations

from collections import Counter

import pytest

from docs.metrics import PAGE, SECTIONS, page
from observe.metric import Kind, Metric

METRICS = [each for metrics in SECTIONS.values() for each in metrics]
UNITS = ("_seconds", "_bytes", "_records", "_total", "_info")
FORBIDDEN_LABELS = {"run", "run_id", "job", "instance"}
"""A run's id has no bound. Prometheus gives `job` and `instance` to each target, and would rename ours."""


def test_the_page_is_what_make_metrics_writes():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make metrics`"


def test_no_two_metrics_have_one_name():
    assert [name for name, count in Counter(each.name for each in METRICS).items() if count > 1] == []


@pytest.mark.parametrize("metric", METRICS, ids=lambda each: each.name)
def test_a_metric_is_named_and_explained(metric: Metric):
    assert metric.name.startswith("tidemill_")
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.kind is not Kind.HISTOGRAM or metric.name.endswith(UNITS)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert metric.says.endswith(".")
    assert metric.do.endswith(".")
    assert set(metric.values) <= set(metric.labels)
    assert not FORBIDDEN_LABELS & set(metric.labels)
