"""The grid of a DAG: a line for each node, a column for each of its newest runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import htpy as h

from schemas.times import rfc3339
from tidemill.output import visible
from tidemill.target import Row
from tidemill.web.ask import Ask
from tidemill.web.dag_facts import MOST_LINES, DagFacts
from tidemill.web.marks import mark
from tidemill.web.pieces import clock, dag_url, run_url


def grid(ask: Ask, found: DagFacts) -> h.Node:
    """None: the DAG has not run yet. The newest run is on the right, as time goes."""
    if not found.runs:
        return None
    columns = list(reversed(found.runs))
    lines = found.nodes[:MOST_LINES]
    return h.fragment[
        h.div(class_="scroll newest", tabindex="0", role="region", aria_label="Runs and nodes")[
            h.table(class_="grid")[
                h.caption(class_="unseen")["The state of each node in the newest runs"],
                h.thead[h.tr[h.th(scope="col")["Node"], (_head(ask, each, found) for each in columns)]],
                h.tbody[
                    h.tr(class_="whole")[h.th(scope="row")["The DAG run"], (_whole(each) for each in columns)],
                    (_line(node, columns, found) for node in lines),
                ],
            ]
        ],
        _rest(found),
    ]


def _head(ask: Ask, run: Row, found: DagFacts) -> h.Element:
    is_shown = found.run is not None and found.run["run_id"] == run["run_id"]
    at = run["nominal_time"]
    day, _, time = clock(at, ask.timezone, ask.now).rpartition(" ")
    address = f"{dag_url(found.dag['dag_id'])}?run={run_url(run['run_id']).removeprefix('/runs/')}"
    return h.th(scope="col")[
        h.a(href=address, aria_current="true" if is_shown else None, title=f"{visible(run['run_id'])}, {rfc3339(at)}")[
            h.span(class_="note")[day] if day else None, h.span[time[:5]]
        ]
    ]


def _whole(run: Row) -> h.Element:
    return h.td[_cell(run["run_id"], run["state"])]


def _line(node: Row, columns: list[Row], found: DagFacts) -> h.Element:
    return h.tr[h.th(scope="row")[visible(node["node_id"])], (_cells(node, columns, found))]


def _cells(node: Row, columns: list[Row], found: DagFacts) -> Iterator[h.Element]:
    for run in columns:
        cell = found.cells.get((run["run_id"], node["node_id"]))
        yield h.td[_cell(cell["run_id"], cell["state"]) if cell else h.span(class_="nothing", title="no run")["·"]]


def _cell(run_id: str, state: str) -> h.Element:
    word = state.replace("_", " ")
    return h.a(href=run_url(run_id), title=word, class_="cell")[mark(state), h.span(class_="unseen")[word]]


def _rest(found: DagFacts) -> h.Node:
    more = len(found.nodes) - MOST_LINES
    return h.p(class_="empty")[f"{more} more nodes are in the table below."] if more > 0 else None
