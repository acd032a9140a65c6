"""The tenants: whose runs run, wait and fail."""

from __future__ import annotations

from infra.grafana.dashboard import METRICS, TABLES, Dashboard, Section
from infra.grafana.panels import bars, lines, ranking, table
from infra.grafana.sources import PromQL, Sql

LINK = {"tenant": "/runs?tenant=${__value.raw:percentencode}"}
RUNS = Section(
    title="Runs",
    panels=(
        bars(
            "Ended, by tenant",
            "Runs that ended; tenants beyond `TIDEMILL_METRICS_TENANTS` are `other`.",
            (
                PromQL(
                    expr="sum by (tenant) (increase(tidemill_tenant_runs_total{"
                    'state=~"succeeded|failed|timed_out|cancelled|dead"}[$__rate_interval]))',
                    legend="{{tenant}}",
                ),
            ),
        ),
        lines(
            "Share that did not succeed, by tenant",
            "Of the runs that ended: those that failed, timed out or died.",
            (
                PromQL(
                    expr="sum by (tenant) (increase(tidemill_tenant_runs_total{"
                    'state=~"failed|timed_out|dead"}[$__rate_interval]))'
                    " / (sum by (tenant) (increase(tidemill_tenant_runs_total{"
                    'state=~"succeeded|failed|timed_out|dead"}[$__rate_interval])) > 0)',
                    legend="{{tenant}}",
                ),
            ),
            "percentunit",
        ),
        bars(
            "Running, by tenant",
            "Runs whose process runs now.",
            (PromQL(expr='sum by (tenant) (tidemill_tenant_open_runs{state="running"})', legend="{{tenant}}"),),
        ),
        bars(
            "Waiting, by tenant",
            "Runs that wait for a slot, for other runs, or for their next attempt.",
            (
                PromQL(
                    expr='sum by (tenant) (tidemill_tenant_open_runs{state=~"queued|retry_wait"})', legend="{{tenant}}"
                ),
            ),
        ),
    ),
)
JOBS = Section(
    title="Jobs",
    panels=(
        ranking(
            "Jobs with the most runs",
            "Runs that ended over the chosen range; jobs beyond `TIDEMILL_METRICS_JOBS` are `other`.",
            (
                PromQL(
                    expr="topk(15, sum by (job_id) (increase(tidemill_job_runs_total[$__range])))",
                    legend="{{job_id}}",
                    only_now=True,
                ),
            ),
            "short",
        ),
        ranking(
            "Jobs with the most open runs",
            "Runs that have not ended.",
            (PromQL(expr="topk(15, sum by (job_id) (tidemill_job_open_runs))", legend="{{job_id}}", only_now=True),),
            "short",
        ),
    ),
)
LISTS = Section(
    title="From the read model",
    panels=(
        table(
            "Tenants",
            "Runs of the chosen range, by scheduled time; for `slot_time` their last attempts held a slot.",
            (Sql(name="tenants_tenants"),),
            units={"slot_time": "s", "late_p95": "s"},
            links=LINK,
        ),
        table(
            "Tenants that wait",
            "Runs that are due and do not run, and for how long the oldest has waited.",
            (Sql(name="tenants_tenants_that_wait"),),
            units={"oldest": "s"},
            links=LINK,
        ),
    ),
)
DASHBOARD = Dashboard(
    uid="tidemill-tenants",
    title="Tenants",
    says="Whose runs run, wait and fail.",
    sections=(RUNS, JOBS, LISTS),
    variables=(*METRICS, *TABLES),
)
