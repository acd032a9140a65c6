"""The list of runs: filters in the URL, keyset pages, a bounded count."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

import htpy as h
from starlette.responses import Response

from schemas.reasons import ReasonCode
from schemas.words import OPEN_STATES, RunKind, RunState
from tidemill.orders import MAX_RERUNS
from tidemill.output import visible
from tidemill.target import Row
from tidemill.web import paging
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.layout import page
from tidemill.web.marks import state
from tidemill.web.pieces import (
    NONE,
    bounded,
    choice,
    dag_url,
    done,
    instant,
    job_url,
    live,
    options,
    run_url,
    table,
    text_field,
    took,
)
from tidemill.web.run_filter import FIELDS, RunFilter, cursor_of, filter_of
from tidemill.web.run_list import Count, RunPage, count, read_page

HEADS = ("State", "Run", "Kind", "Scheduled", "Started", "Ended", "Took", "Attempt", "Why")


def make(ask: Ask, backend: Backend) -> Response:
    asked, cursor = filter_of(ask), cursor_of(ask)
    with backend.reading() as postgres:
        found = read_page(postgres, asked, cursor)
        number = found.count or count(postgres, asked)
    return page(
        ask,
        "Runs",
        _done(ask),
        _form(ask, asked),
        live(ask, "list", ("runs",), _summary(asked, number), _list(ask, asked, found), _pager(ask, found)),
    )


def _done(ask: Ask) -> h.Node:
    """What a bulk action has written."""
    verb, count = ask.one("asked"), ask.one("count") or ""
    if verb not in {"cancel", "rerun"} or not count.isdecimal() or int(count[:9]) > MAX_RERUNS:
        return None
    what = "asked to stop" if verb == "cancel" else "asked to run again"
    sentence = (
        f"{int(count):,} {'run was' if int(count) == 1 else 'runs were'} {what}. The list shows the effect as it comes."
    )
    return done(sentence)


def _bulk(ask: Ask) -> h.Node:
    """Links to the previews of what can be done with all runs of the filter."""
    query = urlencode(list(same_filter(ask).items()), doseq=True)
    if not query:
        return None
    return h.span(class_="bulk")[
        h.a(href=f"/bulk/rerun?{query}")["Run these again…"], h.a(href=f"/bulk/cancel?{query}")["Cancel these…"]
    ]


def _form(ask: Ask, asked: RunFilter) -> h.Element:
    return h.form(method="get", action="/runs", class_="filters", role="search", aria_label="Filters")[
        h.div(class_="fields")[
            text_field("job", "Job", asked.job, is_search=True),
            text_field("dag", "DAG", asked.dag),
            text_field("tenant", "Tenant", asked.tenant),
            choice("kind", "Kind", (each.value for each in RunKind), asked.kind and asked.kind.value),
            choice("reason", "Reason", (each.value for each in ReasonCode), asked.reason and asked.reason.value),
            h.label["Time of", options("time", ("scheduled", "finished"), "finished" if asked.by_end else "scheduled")],
            text_field("from", "From", ask.one("from"), hint="2h, or 2026-11-21 03:00"),
            text_field("to", "To", ask.one("to"), hint="now"),
            h.button(type="submit", class_="main")["Filter"],
            h.a(href="/runs", class_="plain")["All runs"],
            _bulk(ask),
        ],
        h.fieldset(class_="chips")[
            h.legend(class_="unseen")["States"],
            (_chip(each, each in asked.states) for each in RunState),
        ],
    ]


def _chip(word: RunState, is_chosen: bool) -> h.Element:
    return h.label(class_="chip")[
        h.input(type="checkbox", name="state", value=word.value, checked=is_chosen), state(word.value)
    ]


def _summary(asked: RunFilter, number: Count | None) -> h.Element:
    shown = "Older" if number is None else bounded(number.value, number.is_exact)
    noun = "run" if number == Count(value=1, is_exact=True) else "runs"
    order = "the latest scheduled time first"
    return h.p(class_="summary", aria_live="polite")[h.strong[shown], f" {noun}{_said(asked)}; {order}."]


def _said(asked: RunFilter) -> str:
    """The filter in words."""
    parts = [
        f" of {visible(asked.dag or asked.job or '')}" if asked.dag or asked.job else "",
        f" of the tenant {visible(asked.tenant)}" if asked.tenant else "",
        f" that are {' or '.join(each.value.replace('_', ' ') for each in asked.states)}" if asked.states else "",
        f" with the reason {asked.reason.value}" if asked.reason else "",
    ]
    return "".join(parts)


def _list(ask: Ask, asked: RunFilter, found: RunPage) -> h.Element:
    return table("Runs", HEADS, (_row(ask, each) for each in found.rows), empty=_why_empty(ask, asked, found))


def _row(ask: Ask, run: Row) -> tuple[h.Node, ...]:
    return (
        state(run["state"]),
        _name(run),
        run["kind"],
        instant(ask, run["scheduled_time"]),
        instant(ask, run["started_at"]),
        instant(ask, run["finished_at"]),
        took(run["started_at"], _end(ask, run)),
        run["attempt"] or NONE,
        h.span(class_="why", title=run["reason_code"])[visible(run["reason"] or "")],
    )


def _name(run: Row) -> h.Node:
    """The run's id as two links: its job or DAG, and the run."""
    owner, rest = run["job_id"], run["run_id"].removeprefix(run["job_id"])
    return h.span(class_="id", title=visible(run["run_id"]))[
        h.a(href=dag_url(owner) if run["dag_id"] else job_url(owner), class_="owner")[visible(owner)],
        h.a(href=run_url(run["run_id"]))[visible(rest)],
    ]


def _end(ask: Ask, run: Row) -> datetime | None:
    """Until now, if the process may still run."""
    end: datetime | None = run["finished_at"]
    return end or (ask.now if RunState(run["state"]) in OPEN_STATES - {RunState.RETRY_WAIT, RunState.QUEUED} else None)


def _why_empty(ask: Ask, asked: RunFilter, found: RunPage) -> h.Node:
    if found.searched_to:
        return h.fragment[
            "None of the runs that were searched matches. The search stopped at the scheduled time ",
            instant(ask, found.searched_to.at),
            "; older runs may match.",
        ]
    if ask.one("after"):
        return "The list ends here: no older run matches."
    if asked == RunFilter():
        return h.fragment[
            "No run is in the database: no job has been due or requested yet. ",
            h.a(href="/jobs")["Jobs"],
            " says what is defined.",
        ]
    window = " Only runs since the time in “From” are searched." if asked.begin else ""
    return f"No run matches all filters.{window} The history may also be pruned: TIDEMILL_HISTORY_TTL."


def _pager(ask: Ask, found: RunPage) -> h.Node:
    following = found.following
    return h.nav(class_="pager", aria_label="Pages of the list")[
        h.a(href=ask.url(after=None))["First page"] if ask.one("after") else None,
        h.a(href=ask.url(after=paging.written(following)), rel="next")[
            "Search older runs" if found.searched_to else "Older runs"
        ]
        if following
        else None,
    ]


def same_filter(ask: Ask) -> dict[str, tuple[str, ...]]:
    """The filter's part of the query."""
    return {name: values for name, values in ask.query.items() if name in FIELDS}
