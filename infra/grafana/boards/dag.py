"""One DAG: how its runs and its nodes end, and which node takes the time. From the read model, and one histogram."""

from __future__ import annotations

from infra.grafana.dashboard import METRICS, TABLES, Dashboard, Section, choice
from infra.grafana.panels import bars, lines, number, ranking, state, table, timeline
from infra.grafana.sources import PromQL, Sql

NUMBERS = (
    state(
        "Last end",
        "How the latest DAG run ended.",
        Sql(name="dag_last_end"),
        width=6,
    ),
    number(
        "DAG runs",
        "DAG runs of the chosen range that have started.",
        Sql(name="dag_runs"),
        "short",
        width=6,
    ),
    number(
        "Open",
        "DAG runs that have not ended.",
        Sql(name="dag_open"),
        "short",
        width=6,
    ),
    number(
        "Typical duration",
        "Half of the DAG runs of the chosen range took longer.",
        Sql(name="dag_typical_duration"),
        "s",
        width=6,
    ),
)
GRID = (
    timeline(
        "Nodes of each DAG run",
        "One row for each node, one box for each DAG run; at most 5,000 boxes.",
        Sql(name="dag_nodes_of_each_dag_run", over_time=True),
        kind="status-history",
    ),
    lines(
        "Duration of DAG runs",
        "From the start of a DAG run to its end.",
        (Sql(name="dag_duration_of_dag_runs", over_time=True),),
        "s",
    ),
    bars(
        "Ends of DAG runs",
        "DAG runs by their present state; a range of missed ones counts each.",
        (Sql(name="dag_ends", over_time=True),),
    ),
)
SLOW = (
    ranking(
        "Slowest nodes",
        "The duration of each node: 95 of 100 of its runs in the chosen range were faster.",
        (Sql(name="dag_slowest_nodes"),),
        "s",
    ),
    lines(
        "Duration of the DAG runs of all DAGs",
        "From the start of a DAG run to its end: the median and the slowest of 100.",
        tuple(
            PromQL(
                expr=f"histogram_quantile({share},"
                " sum by (le) (rate(tidemill_dag_run_seconds_bucket[$__rate_interval])))",
                legend=legend,
            )
            for share, legend in ((0.5, "p50"), (0.99, "p99"))
        ),
        "s",
    ),
)
LISTS = (
    table(
        "Last DAG runs",
        "The latest by scheduled time. A click opens the DAG or the DAG run.",
        (Sql(name="dag_last_runs"),),
        units={"took": "s"},
        links={"dag_id": "/dags/${__value.raw:percentencode}", "run_id": "/runs/${__value.raw:percentencode}"},
    ),
    table(
        "Nodes that did not succeed",
        "The latest nodes that failed, or did not run because of it. A click opens the node's run.",
        (Sql(name="dag_nodes_that_did_not_succeed"),),
        links={"run_id": "/runs/${__value.raw:percentencode}"},
    ),
)
DASHBOARD = Dashboard(
    uid="tidemill-dag",
    title="DAG",
    says="How the runs of one DAG and its nodes end, and which node takes the time.",
    sections=(
        Section(title="${dag_id}", panels=NUMBERS),
        Section(title="DAG runs and nodes", panels=GRID),
        Section(title="Where the time goes", panels=SLOW),
        Section(title="Runs", panels=LISTS),
    ),
    variables=(*METRICS, *TABLES, choice("dag_id", "DAG", "dags")),
    since="now-24h",
)
