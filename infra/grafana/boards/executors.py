"""The executors: whether slots are free, and where the time between dispatch and process goes."""

from __future__ import annotations

from infra.grafana.dashboard import METRICS, TABLES, Dashboard, Section
from infra.grafana.panels import ORANGE, RED, SOME, Panel, bars, lines, number, table
from infra.grafana.sources import PromQL, Sql


def quantiles(title: str, says: str, metric: str, by: str = "") -> Panel:
    """The median and the slowest of 100, by one label or over all."""
    labels = f"{by}, le" if by else "le"
    return lines(
        title,
        says,
        tuple(
            PromQL(
                expr=f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))",
                legend=f"{{{{{by}}}}} {name}" if by else name,
            )
            for share, name in ((0.5, "p50"), (0.99, "p99"))
        ),
        "s",
    )


SLOTS = Section(
    title="Slots",
    panels=(
        number(
            "Executors",
            "Executors that send heartbeats and claim; one that serves several classes counts once for each.",
            PromQL(expr="sum(max by (class) (tidemill_executors))", only_now=True),
            "short",
        ),
        number(
            "Executors of the scarcest class",
            "0: runs of a class wait, because no executor serves it.",
            PromQL(expr="min(max by (class) (tidemill_executors))", only_now=True),
            "short",
        ),
        number(
            "Slots in use",
            "Share of all slots that are busy.",
            PromQL(
                expr='sum(max by (class) (tidemill_slots{state="busy"})) / sum(max by (class, state) (tidemill_slots))',
                only_now=True,
            ),
            "percentunit", ((ORANGE, 0.8), (RED, 0.95)),
        ),
        number(
            "Oldest heartbeat",
            "Above 9 s an executor claims nothing.",
            PromQL(expr="max(tidemill_heartbeat_age_seconds)", only_now=True),
            "s", ((ORANGE, 6), (RED, 9)),
        ),
        number(
            "Output dropped",
            "Output that was not kept, over the chosen range: raise `TIDEMILL_LOG_MAX_BYTES`, or let jobs write less.",
            PromQL(expr="sum(increase(tidemill_output_dropped_bytes_total[$__range]))", only_now=True),
            "bytes", ((ORANGE, SOME),),
        ),
        number(
            "Executables in the cache",
            "Share of the attempts whose executable was in the cache, over the chosen range.",
            PromQL(
                expr='sum(increase(tidemill_cache_requests_total{result="hit"}[$__range]))'
                " / sum(increase(tidemill_cache_requests_total[$__range]))",
                only_now=True,
            ),
            "percentunit",
        ),
        bars(
            "Slots",
            "Busy and free slots by class, as the executors announce them.",
            (PromQL(expr="sum by (class, state) (tidemill_executor_slots)", legend="{{class}} {{state}}"),),
        ),
        lines(
            "Use of slots, by class",
            "Share of the slots of a class that are busy; near 1 its runs wait.",
            (
                PromQL(
                    expr='sum by (class) (tidemill_executor_slots{state="busy"})'
                    " / sum by (class) (tidemill_executor_slots)",
                    legend="{{class}}",
                ),
            ),
            "percentunit",
            limit=0.95,
        ),
        lines(
            "Executors by class",
            "Executors that send heartbeats and claim.",
            (PromQL(expr="max by (class) (tidemill_executors)", legend="{{class}}"),),
            "short",
        ),
        lines(
            "Age of heartbeats",
            "Of the last heartbeat that Kafka has acknowledged, by executor.",
            (PromQL(expr="tidemill_heartbeat_age_seconds", legend="{{instance}}"),),
            "s",
            limit=9,
        ),
    ),
)  # fmt: skip
TIME = Section(
    title="From dispatch to process",
    panels=(
        quantiles(
            "Time in the queue",
            "From the time at which a run was queued to the start of its process, by class.",
            "tidemill_run_queue_seconds", "class",
        ),
        quantiles("Claim", "From the append of a dispatch to its claim, by class.", "tidemill_claim_seconds", "class"),
        quantiles(
            "Fetch",
            "How long an attempt waits for its executable, checkpoint and results.",
            "tidemill_fetch_seconds",
        ),
        quantiles(
            "STARTED is acknowledged",
            "From sending STARTED until Kafka has it; the process starts after that.",
            "tidemill_started_ack_seconds",
        ),
        quantiles("Spawn", "From the order to start a process until it runs.", "tidemill_spawn_seconds"),
        quantiles(
            "Duration of attempts",
            "From the start of a process to its end, by class.",
            "tidemill_attempt_seconds", "class",
        ),
    ),
)  # fmt: skip
WORK = Section(
    title="Work",
    panels=(
        bars(
            "Ends by cause",
            "As the process ended, or why it never started.",
            (
                PromQL(
                    expr="sum by (cause) (increase(tidemill_executor_ends_total[$__rate_interval]))", legend="{{cause}}"
                ),
            ),
        ),
        lines(
            "Output",
            "Bytes a second that processes write.",
            (PromQL(expr="sum(rate(tidemill_output_bytes_total[$__rate_interval]))", legend="written"),),
            "Bps",
        ),
        table(
            "Running now, by executor",
            "The executors that run something; the page Fleet shows all of them.",
            (Sql(name="executors_running_now_by_executor"),),
            width=12,
            units={"longest": "s"},
            links={"executor": "/fleet"},
        ),
        table(
            "Running longest",
            "Runs whose process runs now. A click opens the run.",
            (Sql(name="executors_running_longest"),),
            width=12,
            units={"runs_for": "s"},
            links={"run_id": "/runs/${__value.raw:percentencode}", "job_id": "/jobs/${__value.raw:percentencode}"},
        ),
    ),
)
DASHBOARD = Dashboard(
    uid="tidemill-executors",
    title="Executors",
    says="Whether slots are free, and where the time between dispatch and process goes.",
    sections=(SLOTS, TIME, WORK),
    variables=(*METRICS, *TABLES),
)
