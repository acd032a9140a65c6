"""The overview: in ten seconds, whether everything due has run, and what waits and why."""

from __future__ import annotations

from infra.grafana.dashboard import METRICS, TABLES, Dashboard, Section
from infra.grafana.panels import ORANGE, RED, SOME, bars, lines, number, table
from infra.grafana.sources import PromQL, Sql

LATE = (
    'sum(increase(tidemill_run_lateness_seconds_bucket{{le="5.0"}}[{0}]))'
    " / (sum(increase(tidemill_run_lateness_seconds_count[{0}])) > 0)"
)
DUE = Section(
    title="Has everything due run?",
    panels=(
        number(
            "Overdue jobs",
            "Jobs and DAGs with an occurrence that was due and of which nothing is known. 0 is healthy; otherwise run"
            " `tidemill doctor`.",
            PromQL(expr="max(tidemill_overdue_jobs)", only_now=True),
            "short", ((RED, SOME),),
        ),
        number(
            "Oldest overdue",
            "How long ago the oldest of these occurrences was due.",
            PromQL(expr="max(tidemill_overdue_oldest_seconds)", only_now=True),
            "s", ((ORANGE, 30), (RED, 120)),
        ),
        number(
            "Starts in time",
            "Share of the starts less than 5 s after their scheduled time, over the chosen range; it should be 99.9 %.",
            PromQL(expr=LATE.format("$__range"), only_now=True),
            "percentunit",
        ),
        number(
            "Ready to start",
            "Runs that could start now and wait for an executor with a free slot.",
            PromQL(expr="sum(tidemill_ready_runs)", only_now=True),
            "short",
        ),
        number(
            "Oldest ready run",
            "For how long the oldest of these runs has waited.",
            PromQL(expr="max(tidemill_ready_oldest_seconds)", only_now=True),
            "s", ((ORANGE, 30), (RED, 300)),
        ),
        number(
            "Running",
            "Runs whose process runs now.",
            PromQL(expr='sum(tidemill_open_runs{state="running",kind!~"dag|backfill"})', only_now=True),
            "short",
        ),
        number(
            "Alerts that fire",
            "Alerts of infra/prometheus/rules; docs/operations.md says what to do. 0 also if the rules are not loaded.",
            PromQL(expr='count(ALERTS{alertname=~"Tidemill.*",alertstate="firing"}) or vector(0)', only_now=True),
            "short", ((RED, SOME),),
        ),
        number(
            "Canaries lost",
            "Canary runs, one each minute, that did not come back in time, over the chosen range.",
            PromQL(expr="sum(increase(tidemill_canary_lost_total[$__range]))", only_now=True),
            "short", ((RED, SOME),),
        ),
        number(
            "Dead runs",
            "Runs that used up their retries, over the chosen range.",
            PromQL(expr='sum(increase(tidemill_runs_total{state="dead"}[$__range]))', only_now=True),
            "short", ((ORANGE, SOME),),
        ),
        number(
            "Unowned partitions",
            "Partitions for which no stream worker decides.",
            PromQL(expr="max(tidemill_unowned_partitions)", only_now=True),
            "short", ((RED, SOME),),
        ),
        number(
            "Executors",
            "Executors of the class that has the fewest.",
            PromQL(expr="min(max by (class) (tidemill_executors))", only_now=True),
            "short",
        ),
        number(
            "Processes down",
            "Processes that do not answer Prometheus, or are not ready.",
            PromQL(expr="count(up == 0 or tidemill_process_ready == 0) or vector(0)", only_now=True),
            "short", ((RED, SOME),),
        ),
    ),
)  # fmt: skip
RUNS = Section(
    title="What was decided, and was it in time?",
    panels=(
        bars(
            "Decisions",
            "Runs that ended, and occurrences that did not run (`skipped`, `missed`), without backfills and DAG runs.",
            (
                PromQL(
                    expr="sum by (state) (increase(tidemill_runs_total{"
                    'state=~"succeeded|failed|timed_out|cancelled|dead",kind!~"dag|backfill"}[$__rate_interval]))',
                    legend="{{state}}",
                ),
                PromQL(
                    expr="sum by (state) (increase(tidemill_occurrences_not_run_total[$__rate_interval]))",
                    legend="{{state}}",
                ),
            ),
        ),
        lines(
            "Lateness",
            "From the scheduled time of a run to its start: the slowest of 100 and the median, by class.",
            (
                PromQL(
                    expr="histogram_quantile(0.99, sum by (class, le) (rate("
                    "tidemill_run_lateness_seconds_bucket[$__rate_interval])))",
                    legend="{{class}} p99",
                ),
                PromQL(
                    expr="histogram_quantile(0.5, sum by (class, le) (rate("
                    "tidemill_run_lateness_seconds_bucket[$__rate_interval])))",
                    legend="{{class}} p50",
                ),
            ),
            "s",
            limit=5,
        ),
        lines(
            "Late starts, as a share of the budget",
            "1 uses up the budget of 0.1 % in 30 days; the alerts fire at 14.4 (over an hour) and 6 (over six hours).",
            tuple(PromQL(expr=f"(1 - {LATE.format(window)}) / 0.001", legend=window) for window in ("5m", "1h", "6h")),
            "short",
            limit=14.4,
        ),
        bars(
            "Open runs",
            "Runs that have not ended, by state.",
            (PromQL(expr='sum by (state) (tidemill_open_runs{kind!~"dag|backfill"})', legend="{{state}}"),),
        ),
    ),
)
WAITS = Section(
    title="What waits, and why?",
    panels=(
        lines(
            "Age of the backlog",
            "For how long the oldest ready run has waited, by class.",
            (PromQL(expr="max by (class) (tidemill_ready_oldest_seconds)", legend="{{class}}"),),
            "s",
        ),
        lines(
            "Backlog",
            "Runs that wait for a slot or for an executor that can run them, by class, or for other runs of their job.",
            (
                PromQL(expr="sum by (class) (tidemill_ready_runs)", legend="{{class}}: for a slot"),
                PromQL(expr="sum by (class) (tidemill_unmet_runs)", legend="{{class}}: for a capable executor"),
                PromQL(expr="sum(tidemill_held_runs)", legend="for other runs"),
            ),
            "short",
        ),
        bars(
            "Did not run, by reason",
            "Occurrences and nodes that did not run; docs/reasons.md explains each reason.",
            (
                PromQL(
                    expr="sum by (reason) (increase(tidemill_occurrences_not_run_total[$__rate_interval])) > 0"
                    " or sum(increase(tidemill_occurrences_not_run_total[$__rate_interval])) == 0",
                    legend="{{reason}}",
                ),
            ),
        ),
        bars(
            "Attempts that did not succeed, by reason",
            "One reason for many jobs points to a shared cause; docs/reasons.md explains each reason.",
            (
                PromQL(
                    expr="sum by (reason) (increase(tidemill_attempt_reasons_total[$__rate_interval])) > 0"
                    " or sum(increase(tidemill_attempt_reasons_total[$__rate_interval])) == 0",
                    legend="{{reason}}",
                ),
            ),
        ),
        bars(
            "Attempts by end",
            "Attempts that ended: `lost` are losses, `promoted` run again in the next class.",
            (
                PromQL(
                    expr="sum by (ended_as) (increase(tidemill_attempts_total[$__rate_interval]))",
                    legend="{{ended_as}}",
                ),
            ),
        ),
        bars(
            "Retries",
            "Attempts after the first one of their run, by class.",
            (PromQL(expr="sum by (class) (increase(tidemill_retries_total[$__rate_interval]))", legend="{{class}}"),),
        ),
        table(
            "Waiting longest",
            "Runs that are due and do not run, and what they wait for. A click opens the run or its job.",
            (Sql(name="overview_waiting_longest"),),
            units={"waiting": "s"},
            links={"run_id": "/runs/${__value.raw:percentencode}", "job_id": "/jobs/${__value.raw:percentencode}"},
        ),
    ),
)
WRONG = Section(
    title="What went wrong?",
    panels=(
        table(
            "Runs that did not succeed",
            "The latest by scheduled time. A click opens the run or its job.",
            (Sql(name="overview_runs_that_did_not_succeed"),),
            links={"run_id": "/runs/${__value.raw:percentencode}", "job_id": "/jobs/${__value.raw:percentencode}"},
        ),
        table(
            "Problems",
            "Inputs that were set aside, and alerts; `tidemill problems` says what to do about each.",
            (Sql(name="overview_problems"),),
            links={"code": "/problems", "run_id": "/runs/${__value.raw:percentencode}"},
        ),
    ),
)
DASHBOARD = Dashboard(
    uid="tidemill-overview",
    title="Overview",
    says="Whether everything due has run, what waits and why, and whether runs start in time.",
    sections=(DUE, RUNS, WAITS, WRONG),
    variables=(*METRICS, *TABLES),
)
