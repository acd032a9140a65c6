"""`tidemill dag runs`, and `tidemill dag show` for a DAG run, from the read model."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import psycopg
import typer

from schemas.ids import dag_run_of
from schemas.words import RunState
from tidemill.complete import dag_names
from tidemill.dag_graph import critical_path, dot, levels
from tidemill.dag_lines import glyphs, show_drawing, some
from tidemill.names import check_owner, no_run
from tidemill.output import console, say, show_fields, show_json, show_rows, table
from tidemill.queries import one, rows
from tidemill.runs import Limit, Reasons, Since, which
from tidemill.target import DEFAULT_DATA, AsJson, Data, NotFoundError, Row, reading

RUN_COLUMNS = ("run_id", "state", "nodes", "started_at", "finished_at", "duration", "reason")
DRAWN_COLUMNS = ("state", "attempt", "waited", "duration", "chose", "reason")
NODE_COLUMNS = ("level", "critical", "node_id", "depends_on", *DRAWN_COLUMNS)
LONGEST_PATH = 12
"""The most nodes of a critical path that are named; a longer path shows its start and its end."""
WAITING = "waiting"
"""The state shown for a node without a run: its dependencies have not ended."""
GONE = "not kept"
"""The state shown for a node without a run in a DAG run that has ended: retention keeps only failures of old weeks."""


def runs(
    data: Data = DEFAULT_DATA,
    dag: Annotated[str | None, typer.Option(help="Only runs of this DAG.", autocompletion=dag_names)] = None,
    state: Annotated[
        list[RunState] | None, typer.Option(help="Only runs in this state; repeat it for more states.")
    ] = None,
    reason: Reasons = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List DAG runs, the newest first, with the number of nodes in each state."""
    values = which(state, reason, since, limit) | {"dag_id": dag}
    with reading(data) as postgres:
        found = rows(postgres, "dag_runs", values)
        if not found:
            check_owner(postgres, dag)
    show_rows(found if as_json else map(counted, found), RUN_COLUMNS, as_json=as_json)


def is_run(name: str) -> bool:
    """A run's id has one of these characters; a DAG's id has none."""
    return "@" in name or "#" in name


def show_run(postgres: psycopg.Connection[Row], name: str, *, as_json: bool, as_dot: bool, every: bool) -> None:
    """Show a DAG run; for a node's run, show the DAG run that it belongs to."""
    run_id = dag_run_of(name)
    run = one(postgres, "dag_run", {"run_id": run_id})
    if run is None:
        if one(postgres, "run", {"run_id": run_id}):
            raise NotFoundError(f"{run_id!r} is the run of a job: `tidemill show` shows it")
        raise no_run(postgres, run_id)
    nodes = rows(postgres, "dag_run_nodes", {"run_id": run_id})
    path = critical_path(nodes)
    told = describe(run, nodes, path)
    if as_dot:
        typer.echo(dot(run["dag_id"], nodes, path))
    elif as_json:
        show_json(run | {"counts": run["nodes"], "critical_path": path, "nodes": told})
    else:
        show_fields(counted(run) | {"seen_at": None})
        draw_run(told, path, every=every)


def draw_run(told: list[Row], path: list[str], *, every: bool = False) -> None:
    """Draw the nodes, or print a table if the drawing is too wide."""
    shown = [_drawn(node) for node in told]
    if not show_drawing(shown, DRAWN_COLUMNS, path, every=every):
        console().print(table(map(_marked, told), NODE_COLUMNS, title="Nodes"))
    if path:
        half = LONGEST_PATH // 2
        named = path if len(path) <= LONGEST_PATH else [*path[:half], "...", *path[-half:]]
        say(f"{glyphs().critical} critical path: {glyphs().arrow.join(named)}")


def describe(run: Row, nodes: list[Row], path: list[str]) -> list[Row]:
    """The nodes, level by level, with the wait from ready to started, and the duration."""
    deep, critical = levels(nodes), frozenset(path)
    none = GONE if RunState(run["state"]).is_final else WAITING
    told = [
        node
        | {
            "level": deep[node["node_id"]],
            "critical": node["node_id"] in critical,
            "state": node["state"] or none,
            "waited": _between(node["queued_at"], node["started_at"]),
            "duration": _between(node["started_at"], node["finished_at"] or run["seen_at"]),
        }
        for node in nodes
    ]
    return sorted(told, key=lambda node: node["level"])


def _between(begin: datetime | None, end: datetime | None) -> Any:
    return end - begin if begin and end else None


def _drawn(node: Row) -> Row:
    """Leave out defaults, such as attempt 1."""
    started = node["started_at"] is not None
    again = node["attempt"] if (node["attempt"] or 0) > 1 else None
    return node | {"started": started, "attempt": again, "chose": _chose(node)}


def _marked(node: Row) -> Row:
    marks = {"critical": "*" if node["critical"] else "", "depends_on": some(node["depends_on"])}
    return node | marks | {"chose": _chose(node)}


def _chose(node: Row) -> str | None:
    chosen: list[str] | None = node["next_nodes"]
    return None if chosen is None else some(chosen) or "none"


def counted(run: Row) -> Row:
    """The number of nodes in each state, as text."""
    counts: dict[str, int] = run["nodes"] or {}
    return run | {"nodes": ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or None}
