"""The list of jobs: how their last runs ended, when they are due next, how long they take; by name, in pages."""

from __future__ import annotations

from datetime import timedelta

import htpy as h
from starlette.responses import Response

from tidemill.output import visible
from tidemill.queries import rows
from tidemill.target import Row
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.bars import bars, typical_seconds
from tidemill.web.layout import page
from tidemill.web.marks import state
from tidemill.web.pages.owner_facts import next_due
from tidemill.web.pieces import NONE, brief, live, owner_link, run_url, table

PAGE, ENDS = 50, 20
HEADS = ("Job", "Last runs", "Last", "Typical", "Next", "Schedule", "Zone", "Class", "Tenant")


def make(ask: Ask, backend: Backend) -> Response:
    asked = {"tenant": ask.one("tenant"), "search": ask.one("search"), "after": ask.one("after")}
    with backend.reading() as postgres:
        found = rows(postgres, "web_jobs", asked | {"limit": PAGE + 1, "ends": ENDS})
    following = found[PAGE - 1]["job_id"] if len(found) > PAGE else None
    return page(
        ask,
        "Jobs",
        _form(ask),
        live(ask, "list", ("runs",), _list(ask, found[:PAGE]), _pager(ask, following)),
    )


def _form(ask: Ask) -> h.Element:
    return h.form(method="get", action="/jobs", class_="filters", role="search", aria_label="Filters")[
        h.div(class_="fields")[
            h.label["Name contains", h.input(name="search", value=ask.one("search"), size="20", data_search=True)],
            h.label["Tenant", h.input(name="tenant", value=ask.one("tenant"), size="14")],
            h.button(type="submit", class_="main")["Filter"],
            h.a(href="/jobs", class_="plain")["All jobs"],
        ]
    ]


def _list(ask: Ask, found: list[Row]) -> h.Element:
    return table("Jobs", HEADS, (_row(ask, each) for each in found), empty=_why_empty(ask))


def _why_empty(ask: Ask) -> h.Node:
    if ask.one("search") or ask.one("tenant") or ask.one("after"):
        return "No job matches all filters."
    put = "tidemill job put hello --schedule '* * * * *' --command 'echo hello'"
    return h.fragment["No job is defined. ", h.code[put], " writes one; so does a row in tidemill.jobs."]


def _row(ask: Ask, job: Row) -> tuple[h.Node, ...]:
    runs, zone = job["runs"], job["timezone"]
    typical = typical_seconds(runs)
    return (
        owner_link(job["job_id"], is_dag=False),
        bars(runs, ENDS),
        h.a(href=run_url(runs[0]["run_id"]), class_="plain")[state(runs[0]["state"])] if runs else NONE,
        NONE if typical is None else brief(timedelta(seconds=round(typical, 3))),
        next_due(ask, job),
        h.code[visible(job["schedule"])] if job["schedule"] else NONE,
        visible(zone) if job["schedule"] else NONE,
        job["timeout_class"] or NONE,
        visible(job["tenant"]),
    )


def _pager(ask: Ask, following: str | None) -> h.Node:
    return h.nav(class_="pager", aria_label="Pages of the list")[
        h.a(href=ask.url(after=None))["First page"] if ask.one("after") else None,
        h.a(href=ask.url(after=following), rel="next")["Next page"] if following else None,
    ]
