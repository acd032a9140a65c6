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

What it counts ([decision 41](decisions/0041-metrics-are-a-fold-over-status.md)):

- It counts each transition, each start and each end of an attempt once. It saves its figures in
  `TIDEMILL_METRICS_STATE`, a folder that only one process may use, every 30 s (less often if that costs 1 % of a core),
  and when it stops. After a restart or a kill it reads on from there, and shows its counters only when it has read all
  that was in the topic at its start: so no counter falls. Until then it is not ready, and shows
  `tidemill_status_lag_records`.
- Without that folder, or on its first start, it reads the whole topic for the open runs and the last successes, and
  counts what is written from then on: otherwise Prometheus would see the runs of 30 days in one moment.
- The first tenants and jobs that it sees have series of their own, and keep them. To choose others, stop it, delete
  the folder, and set `TIDEMILL_METRICS_TENANTS` or `TIDEMILL_METRICS_JOBS`; the counters then start at 0.
- If it was away for so long that Kafka has compacted the topic, the last record of a run says what happened before: at
  most 60 transitions and 20 attempts since its latest rerun. What a record does not hold any more is not counted:
  earlier lives of a run that ran again meanwhile, and all but the last of dispatches that expired in a row.
- The runs of the monitor's canary (job `tidemill-canary`, one a minute) and of `tidemill doctor` (job
  `tidemill-doctor`) count as requested runs, like those of users.
- It needs the rights to read the topics `status` and `cluster`, and to describe the groups `tidemill.metrics` and
  `tidemill-cluster` ([cluster.md](cluster.md)).

`make metrics` writes the tables below from `observe/catalogue`.

## Probes

Both answer 200, or 503 with a sentence that says why. `python -m observe.probe URL` asks where there is no curl; its
exit code is 0 if the answer is 200.

| process | live: its loops turn | ready: it does its work now |
|---|---|---|
| stream worker | those of each partition too | all partitions that it holds are recovered |
| executor | those of heartbeats and logs too | it may claim runs, and does not drain |
| sink | writing, times to live, the check for a restore | Postgres and a broker answer, its last write succeeded |
| supervisor of the connector | its rounds | Kafka Connect does what it is asked |
| metrics of `status` | its loop | all records are counted that there were when it began to read |
| monitor | each of its loops | Postgres and Kafka answer |
| web page | it answers | it serves pages |
| exporter of traces | its loop, also while it waits | Kafka answers, and the collector took the last runs |

A process that waits for a server is live and not ready: a restart would not help. From the signal to stop on it is not
ready.

In `tidemill up` a process has started when it is ready, and the exporter of traces when it is live. One that says three
times in ten seconds that it is not live is killed and started again; the log of `up` has its sentence. In
`docker-compose.yml` a process is healthy when it is ready: `docker compose up --wait` waits for that. A supervisor of
your own, such as Kubernetes, takes `/livez` for restarts and `/readyz` for rollouts.
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
