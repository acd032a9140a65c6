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
INTRODUCTION = """# Metrics

Each process shows its metrics on the port that `TIDEMILL_OBSERVE_LISTEN` names (`HOST:PORT`; not set: no port), at
`/metrics`, beside `/livez` (its loops turn) and `/readyz` (it does its work now). `tidemill up` gives each process a
free port of 127.0.0.1, and `tidemill status --json` names it in `metrics` of each process. With `--observe`,
`tidemill up` also starts Prometheus on them, with the rules of [operations.md](operations.md), and prints the command
that opens Grafana.

`python -m connectors.metrics` counts from the topic `status` alone, so Prometheus needs no access to the other
processes to know what became of every run. Each series whose labels are known exists at 0 from the start. Labels are
bounded: no label holds a run id, and the labels `job_id` and `tenant` have as many values as a setting allows; the rest
is `other`.

`make metrics` writes the tables below from `observe/catalogue`.
"""


def page() -> str:
    return "\n".join(
        [INTRODUCTION, *(line for title, metrics in SECTIONS.items() for line in _section(title, metrics))]
    )


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
