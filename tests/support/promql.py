"""What a PromQL expression names: metrics of the catalogue, and their labels."""

from __future__ import annotations

import re
from collections.abc import Iterator

from docs.metrics import SECTIONS
from observe.metric import Kind, Metric

NAME = re.compile(r"\btidemill[_:][\w:]+")
SELECTOR = re.compile(r"\b(tidemill_\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
PATTERN = re.compile(r"[.*+?\[(\\$]")


def known_series() -> dict[str, Metric]:
    """The names that Prometheus shows: a histogram has three."""
    names: dict[str, Metric] = {}
    for metric in (each for metrics in SECTIONS.values() for each in metrics):
        suffixes = ("_bucket", "_count", "_sum") if metric.kind is Kind.HISTOGRAM else ("",)
        names |= {f"{metric.name}{suffix}": metric for suffix in suffixes}
    return names


def metrics_in(expression: str) -> set[str]:
    return set(NAME.findall(re.sub(r'"[^"]*"', '""', expression)))


def matchers(expression: str) -> Iterator[tuple[str, str, str]]:
    """Each metric, label and value; of an alternation each value, of another pattern none."""
    for name, inside in SELECTOR.findall(expression):
        for label, _, value in MATCHER.findall(inside):
            for each in ("",) if PATTERN.search(value) else value.split("|"):
                yield name, label, each
