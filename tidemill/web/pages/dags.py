"""The list of DAGs with their newest runs, by name, one page at a time."""

from __future__ import annotations

from collections.abc import Iterator

import htpy as h
from starlette.responses import Response

from tidemill.output import visible
from tidemill.queries import rows
from tidemill.target import Row
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.layout import page
from tidemill.web.marks import mark, state
from tidemill.web.pages.owner_facts import next_due
from tidemill.web.pieces import NONE, instant, live, owner_link, run_url, table, took

PAGE = 50
HEADS = ("DAG", "Last run", "Of", "Took", "Nodes", "Next", "Schedule", "Tenant")


def make(ask: Ask, backend: Backend) -> Response:
    values = {"tenant": ask.one("tenant"), "after": ask.one("after"), "limit": PAGE + 1}
    with backend.reading() as postgres:
        found = rows(postgres, "web_dags", values)
    following = found[PAGE - 1]["dag_id"] if len(found) > PAGE else None
    return page(ask, "DAGs", live(ask, "list", ("runs",), _list(ask, found[:PAGE]), _pager(ask, following)))


def _list(ask: Ask, found: list[Row]) -> h.Element:
    empty = h.fragment["No DAG is defined. ", h.code["tidemill dag put FILE"], " writes one from a file."]
    return table("DAGs", HEADS, (_row(ask, each) for each in found), empty=empty)


def _row(ask: Ask, dag: Row) -> tuple[h.Node, ...]:
    return (
        owner_link(dag["dag_id"], is_dag=True),
        h.a(href=run_url(dag["last_run"]), class_="plain")[state(dag["last_state"])] if dag["last_run"] else NONE,
        instant(ask, dag["last_nominal_time"]),
        took(dag["last_started_at"], dag["last_finished_at"] or (ask.now if dag["last_started_at"] else None)),
        h.span(class_="counts")[str(dag["nodes"]), _counts(dag["last_nodes"] or {})],
        next_due(ask, dag),
        h.code[visible(dag["schedule"])] if dag["schedule"] else NONE,
        visible(dag["tenant"]),
    )


def _counts(nodes: dict[str, int]) -> Iterator[h.Node]:
    """The states of the nodes in the last run, without those that went well."""
    for word, number in sorted(nodes.items()):
        if word != "succeeded":
            yield h.span(class_="state", title=word.replace("_", " "))[mark(word), f"{number}"]


def _pager(ask: Ask, following: str | None) -> h.Node:
    return h.nav(class_="pager", aria_label="Pages of the list")[
        h.a(href=ask.url(after=None))["First page"] if ask.one("after") else None,
        h.a(href=ask.url(after=following), rel="next")["Next page"] if following else None,
    ]
