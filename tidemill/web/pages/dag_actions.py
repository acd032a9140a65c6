"""The buttons of a DAG: those of every owner, and mark or rerun a node of the DAG run that the page shows."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from urllib.parse import urlencode

import htpy as h
from starlette.responses import Response

from schemas.ids import RunId, node_run_id
from schemas.words import MarkAs
from tidemill.names import run_row
from tidemill.orders import request_reruns
from tidemill.output import visible
from tidemill.queries import one
from tidemill.target import Row, UsageError
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.dag_facts import MOST_ROWS, DagFacts
from tidemill.web.layout import redirect
from tidemill.web.pages.owner_actions import DAGS
from tidemill.web.pieces import action, dag_url, done, note_field

SAID = {
    "mark": "The node was asked to count as marked. The page shows it as soon as the owner has decided.",
    "rerun": "The node, and what depends on it, was asked to run again.",
}


def actions(found: DagFacts) -> h.Element:
    url, run = dag_url(found.dag["dag_id"]), found.run
    return h.div(class_="actions")[
        DAGS.buttons(found.dag),
        run and action("Mark a node", f"{url}/mark", "Mark it", _of_run(found, run), _mark_as(), note_field()),
        run and action("Rerun from a node", f"{url}/rerun", "Run it again", _of_run(found, run), note_field()),
    ]


def said(ask: Ask) -> h.Node:
    sentence = SAID.get(ask.one("asked") or "")
    return DAGS.said(ask) or (sentence and done(sentence))


def mark(ask: Ask, backend: Backend) -> Response:
    dag_id, run_id = ask.parts["dag_id"], _node_of(ask)
    values = {
        "request_id": secrets.token_hex(8),
        "run_id": run_id,
        "mark_as": ask.field("as") or MarkAs.SUCCEEDED.value,
        "note": ask.field("note"),
    }
    with backend.writing() as postgres:
        one(postgres, "request_mark", values)
    return _back(dag_id, ask, "mark")


def rerun(ask: Ask, backend: Backend) -> Response:
    dag_id, run_id = ask.parts["dag_id"], _node_of(ask)
    values = {"downstream": True, "note": ask.field("note"), "payload": None}
    with backend.writing() as postgres:
        run_row(postgres, run_id)
        request_reruns(postgres, [run_id], values, is_bulk=False)
    return _back(dag_id, ask, "rerun")


def _back(dag_id: str, ask: Ask, what: str) -> Response:
    return redirect(f"{dag_url(dag_id)}?{urlencode({'run': ask.field('run') or '', 'asked': what})}")


def _node_of(ask: Ask) -> RunId:
    """Raises `UsageError`."""
    run, node = ask.field("run"), ask.field("node")
    if run is None or node is None:
        raise UsageError("The form does not say which node of which DAG run it means.")
    return node_run_id(RunId(run), node)


def _of_run(found: DagFacts, run: Row) -> h.Node:
    return h.fragment[
        h.input(type="hidden", name="run", value=run["run_id"]),
        h.label["Node", _choice(found.run_nodes)],
    ]


def _choice(nodes: Sequence[Row]) -> h.Node:
    """A list to choose from; of too many nodes, a field for the name."""
    if len(nodes) > MOST_ROWS:
        return h.input(name="node", required=True, autocomplete="off")
    return h.select(name="node", required=True)[
        (
            h.option(value=each["node_id"])[f"{visible(each['node_id'])} ({each['state'].replace('_', ' ')})"]
            for each in nodes
        )
    ]


def _mark_as() -> h.Element:
    return h.label["As", h.select(name="as")[(h.option(value=each.value)[each.value] for each in MarkAs)]]
