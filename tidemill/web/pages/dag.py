"""One DAG: its newest runs as a grid, and one run as graph, over time and as a table; the buttons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import htpy as h
from starlette.responses import Response

from schemas.ids import dag_run_of
from tidemill.confined import may_use
from tidemill.output import visible
from tidemill.target import Row
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.dag_drawing import drawing
from tidemill.web.dag_facts import MOST_ROWS, DagFacts, most_relevant, named, read_dag
from tidemill.web.dag_gantt import bars, gantt
from tidemill.web.dag_grid import grid
from tidemill.web.layout import page
from tidemill.web.marks import state
from tidemill.web.pages.dag_actions import actions, said
from tidemill.web.pages.owner_facts import schedule_facts
from tidemill.web.pieces import NONE, facts, instant, live, run_url, section, table, took

NODES = ("State", "Node", "Depends on", "Started", "Waited", "Took", "Attempt", "Why")
DEFINED = ("Node", "Depends on", "Trigger rule", "Timeout", "Attempts", "May use", "Executable")


def make(ask: Ask, backend: Backend) -> Response:
    asked = ask.one("run")
    with backend.reading() as postgres:
        found = read_dag(postgres, ask.parts["dag_id"], dag_run_of(asked) if asked else None, None)
    return page(
        ask,
        visible(found.dag["dag_id"]),
        said(ask),
        _lead(found.dag),
        actions(found),
        live(ask, "dag", ("runs",), *_live(ask, found)),
        section("Definition", _definition(ask, found), note=f"version {found.dag['version']}"),
    )


def _lead(dag: Row) -> h.Node:
    if not dag["paused"]:
        return None
    note = f" {visible(dag['paused_note'])}" if dag["paused_note"] else ""
    return h.p(class_="lead")[state("paused"), f" Nothing new becomes due.{note}"]


def _live(ask: Ask, found: DagFacts) -> Iterator[h.Node]:
    yield section("Runs", grid(ask, found) or _never(found), note="the newest on the right; choose one by its time")
    if found.run is None:
        yield section("Graph", drawing(found.nodes))
        return
    run, nodes = found.run, found.run_nodes
    chart = gantt(bars(nodes, run["seen_at"]), found.critical, ask.timezone, ask.now)
    yield section("Graph", _state_of(ask, run), drawing(nodes, found.critical), note=visible(run["run_id"]))
    if chart:
        yield section("Nodes over time", chart, _path(found))
    yield section("Nodes", _nodes(ask, nodes))


def _never(found: DagFacts) -> h.Element:
    how = "at its next time" if found.dag["schedule"] else "when somebody asks for a run: it has no schedule"
    return h.p(class_="empty")[f"The DAG has not run yet. It runs {how}."]


def _state_of(ask: Ask, run: Row) -> h.Element:
    reason = f": {visible(run['reason'])}" if run["reason"] else ""
    return h.p[
        state(run["state"]),
        f" {took(run['started_at'], run['finished_at'] or run['seen_at'])}, of ",
        instant(ask, run["nominal_time"]),
        f"{reason}. ",
        h.a(href=run_url(run["run_id"]))["What happened"],
    ]


def _path(found: DagFacts) -> h.Node:
    if not found.critical:
        return None
    names = named(found.critical, " → ")
    return h.p(class_="note")["The run took as long as its critical path: ", h.b[names], "."]


def _nodes(ask: Ask, nodes: Sequence[Row]) -> h.Element:
    shown = most_relevant(nodes)
    made = table("Nodes of the run", NODES, (_node(ask, each) for each in shown), empty="The DAG has no nodes.")
    return h.div[made, _more(len(nodes) - len(shown))]


def _more(count: int) -> h.Node:
    return h.p(class_="empty")[f"{count:,} more nodes are not shown."] if count > 0 else None


def _node(ask: Ask, node: Row) -> tuple[h.Node, ...]:
    name = visible(node["node_id"])
    return (
        state(node["state"]),
        h.a(href=run_url(node["run_id"]), class_="id")[name] if node["run_id"] else name,
        _needed(node),
        instant(ask, node["started_at"]),
        took(node["queued_at"], node["started_at"]),
        took(node["started_at"], node["finished_at"] or (ask.now if node["started_at"] else None)),
        node["attempt"] or NONE,
        h.span(class_="why", title=node["reason_code"])[visible(node["reason"] or "")],
    )


def _needed(node: Row) -> h.Node:
    return h.span(class_="why")[named(node["depends_on"], ", ") or NONE]


def _definition(ask: Ask, found: DagFacts) -> h.Node:
    dag = found.dag
    return h.fragment[
        facts([*schedule_facts(ask, dag), ("Runs at a time", str(dag["max_active_epochs"]))]),
        table("Nodes as defined", DEFINED, map(_defined, found.nodes[:MOST_ROWS]), empty="The DAG has no nodes."),
        _more(len(found.nodes) - MOST_ROWS),
    ]


def _defined(node: Row) -> tuple[h.Node, ...]:
    return (
        visible(node["node_id"]),
        _needed(node),
        node["trigger_rule"].replace("_", " "),
        str(node["timeout"] or NONE),
        str(node["max_attempts"]),
        h.span(class_="why")[visible(may_use(node) or NONE)],
        h.code[visible(node["executable"])],
    )
