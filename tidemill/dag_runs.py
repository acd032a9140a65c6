"""`tidemill dag runs`, and `tidemill dag show` of a DAG run: epochs as the read model has them."""

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
from tidemill.place import DEFAULT_DATA, AsJson, Data, NotFoundError, Row, reading
from tidemill.queries import one, rows
from tidemill.runs import Limit, Reasons, Since, which

RUN_COLUMNS = ("run_id", "state", "nodes", "started_at", "finished_at", "duration", "reason")
DRAWN_COLUMNS = ("state", "attempt", "waited", "duration", "chose", "reason")
NODE_COLUMNS = ("level", "critical", "node_id", "depends_on", *DRAWN_COLUMNS)
LONGEST_PATH = 12
"""Nodes of a critical path that are named; of a longer one its beginning and its end."""
WAITING = "waiting"
"""What a node is called before it is anything: its dependencies have not ended."""
GONE = "not kept"
"""Of a DAG run that is over: its week was reduced to its failures."""


def runs(
    data: Data = DEFAULT_DATA,
    dag: Annotated[str | None, typer.Option(help="Only of this DAG.", autocompletion=dag_names)] = None,
    state: Annotated[list[RunState] | None, typer.Option(help="Only in this state; repeat it for more.")] = None,
    reason: Reasons = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """DAG runs, the newest first, with how many of their nodes are in which state."""
    values = which(state, reason, since, limit) | {"dag_id": dag}
    with reading(data) as postgres:
        found = rows(postgres, "dag_runs", values)
        if not found:
            check_owner(postgres, dag)
    show_rows(found if as_json else map(counted, found), RUN_COLUMNS, as_json=as_json)


def is_run(name: str) -> bool:
    """No id of a DAG has one of these."""
    return "@" in name or "#" in name


def show_run(postgres: psycopg.Connection[Row], name: str, *, as_json: bool, as_dot: bool, every: bool) -> None:
    """A node's run stands for its DAG run."""
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
    """Of what is too wide to be drawn, a table."""
    shown = [_drawn(node) for node in told]
    if not show_drawing(shown, DRAWN_COLUMNS, path, every=every):
        console().print(table(map(_marked, told), NODE_COLUMNS, title="Nodes"))
    if path:
        half = LONGEST_PATH // 2
        named = path if len(path) <= LONGEST_PATH else [*path[:half], "...", *path[-half:]]
        say(f"{glyphs().critical} critical path: {glyphs().arrow.join(named)}")


def describe(run: Row, nodes: list[Row], path: list[str]) -> list[Row]:
    """The nodes, level by level: how long each waited for a process since it could start, and how long it took."""
    deep = levels(nodes)
    none = GONE if RunState(run["state"]).is_final else WAITING
    told = [
        node
        | {
            "level": deep[node["node_id"]],
            "critical": node["node_id"] in path,
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
    """Without what goes without saying."""
    begun = node["started_at"] is not None
    again = node["attempt"] if (node["attempt"] or 0) > 1 else None
    return node | {"begun": begun, "attempt": again, "chose": _chose(node)}


def _marked(node: Row) -> Row:
    marks = {"critical": "*" if node["critical"] else "", "depends_on": some(node["depends_on"])}
    return node | marks | {"chose": _chose(node)}


def _chose(node: Row) -> str | None:
    chosen: list[str] | None = node["next_nodes"]
    return None if chosen is None else some(chosen) or "none"


def counted(run: Row) -> Row:
    """Counts as people say them."""
    counts: dict[str, int] = run["nodes"] or {}
    return run | {"nodes": ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or None}
