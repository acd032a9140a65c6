"""What the page of a DAG reads: its definition, its newest runs, and one run with its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import psycopg

from tidemill import owners
from tidemill.dag_graph import critical_path
from tidemill.dag_runs import describe
from tidemill.names import no_run
from tidemill.output import visible
from tidemill.queries import one, rows
from tidemill.target import Row

MOST_RUNS = 16
"""The columns of the grid."""
MOST_LINES = 40
"""The lines of the grid; a larger DAG shows the nodes that did not succeed."""

MOST_ROWS = 250
"""The nodes in a table or a list to choose from."""
MOST_NAMED = 40
"""The nodes that a sentence or a cell names."""

RANK = {None: 1, "waiting": 1, "succeeded": 2}


class DagFacts(msgspec.Struct, frozen=True, kw_only=True):
    dag: Row
    nodes: Sequence[Row]
    """Its newest definition, in topological order."""
    runs: Sequence[Row]
    """The newest first."""
    cells: Mapping[tuple[str, str], Row]
    """By DAG run and node."""
    run: Row | None
    """The run that the page shows."""
    run_nodes: Sequence[Row]
    """Its nodes, in topological order, with what `dag_runs.describe` adds."""
    critical: Sequence[str]


def read_dag(postgres: psycopg.Connection[Row], dag_id: str, run_id: str | None, before: datetime | None) -> DagFacts:
    """`run_id` None: the newest run. Raises `NotFoundError`."""
    dag = owners.DAG.found(postgres, dag_id, one(postgres, "dag", {"dag_id": dag_id}))
    nodes = rows(postgres, "dag_nodes", {"dag_id": dag_id})
    runs = rows(postgres, "web_dag_runs", {"dag_id": dag_id, "before": before, "limit": MOST_RUNS})
    shown = run_id or next((each["run_id"] for each in runs), None)
    run = one(postgres, "dag_run", {"run_id": shown}) if shown else None
    if run_id and (run is None or run["dag_id"] != dag_id):
        raise no_run(postgres, run_id)
    found = rows(postgres, "dag_run_nodes", {"run_id": shown}) if run else []
    critical = critical_path(found)
    told = {node["node_id"]: node for node in (describe(run, found, critical) if run else ())}
    return DagFacts(
        dag=dag,
        nodes=nodes,
        runs=runs,
        cells=_cells(postgres, runs, [node["node_id"] for node in nodes][:MOST_LINES]),
        run=run,
        run_nodes=[told[node["node_id"]] for node in found],
        critical=critical,
    )


def most_relevant(nodes: Sequence[Row]) -> Sequence[Row]:
    """The nodes of a run for a table; of too many, first those that did not go well, then those that wait."""
    if len(nodes) <= MOST_ROWS:
        return nodes
    return sorted(nodes, key=lambda node: RANK.get(node["state"], 0))[:MOST_ROWS]


def named(names: Sequence[str], between: str) -> str:
    """Names in a sentence; of too many, the first and the last ones."""
    shown = [visible(each) for each in names]
    if len(shown) > MOST_NAMED:
        half = MOST_NAMED // 2
        shown = [*shown[:half], f"… ({len(names) - 2 * half:,} more)", *shown[-half:]]
    return between.join(shown)


def _cells(postgres: psycopg.Connection[Row], runs: Sequence[Row], nodes: Sequence[str]) -> dict[tuple[str, str], Row]:
    values = {
        "runs": [each["run_id"] for each in runs],
        "filed": [each["filed_on"] for each in runs],
        "nodes": list(nodes),
    }
    return {(each["dag_run"], each["node_id"]): each for each in rows(postgres, "web_dag_grid", values)}
