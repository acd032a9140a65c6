"""Writes the tables of docs/metrics.md from observe/catalogue: `make metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from observe.catalogue import connector, executors, monitor, process, sink, status, streams, traces, web
from observe.metric import Metric

PAGE = Path(__file__).with_name("metrics.md")
SECTIONS: dict[str, tuple[Metric, ...]] = {
    "Every process": process.ALL,
    "From the topic `status`: `python -m connectors.metrics`": status.ALL,
    "Stream worker: `python -m streams`": streams.ALL,
    "Executor: `python -m executors`": executors.ALL,
    "Sink: `python -m connectors.sink`": sink.ALL,
    "Supervisor of the connector: `python -m connectors.supervisor`": connector.ALL,
    "Monitor: `python -m tidemill.monitor`": monitor.ALL,
    "Web page: `python -m tidemill.web`": web.ALL,
    "Exporter of traces: `python -m connectors.traces`": traces.ALL,
}
TABLES = "## Every process\n"
"""The first heading below the part of the page that is written by hand."""


def page() -> str:
    """The page with its tables written anew."""
    by_hand, _, _ = PAGE.read_text(encoding="utf-8").partition(TABLES)
    return by_hand + "\n".join(line for title, metrics in SECTIONS.items() for line in _section(title, metrics))


def _section(title: str, metrics: tuple[Metric, ...]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| name | type | labels | what it means | what to do |"
    yield "|---|---|---|---|---|"
    for each in metrics:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        yield f"| `{each.name}` | {each.kind.value} | {labels} | {each.says} | {each.do} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
