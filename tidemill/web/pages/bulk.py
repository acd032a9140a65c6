"""Cancel or rerun all runs of a filter: first a preview of what it hits, then the requests in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlencode

import htpy as h
import msgspec
import psycopg
from starlette.responses import Response

from schemas.times import MILLISECOND, rfc3339
from schemas.words import RequestKind
from tidemill.instants import instant_in
from tidemill.orders import request_reruns, request_stop
from tidemill.output import visible
from tidemill.queries import now_of
from tidemill.target import Row, UsageError
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.bulk import Hit, to_cancel, to_rerun
from tidemill.web.layout import page, redirect
from tidemill.web.marks import state
from tidemill.web.pieces import instant, note_field, run_link, section, table
from tidemill.web.run_filter import FIELDS, RunFilter, filter_of

SHOWN = 20
OWNERS_SHOWN = 10
_CUT = "The filter has more runs than one action takes: these are the newest. Repeat it for the rest."


class Action(msgspec.Struct, frozen=True, kw_only=True):
    verb: str
    title: str
    button: str
    find: Callable[[psycopg.Connection[Row], RunFilter, datetime], Hit]
    none: str


CANCEL = Action(
    verb="cancel",
    title="Cancel runs",
    button="Cancel",
    find=to_cancel,
    none="No open run matches the filter: there is nothing to cancel.",
)
RERUN = Action(
    verb="rerun",
    title="Run again",
    button="Run again",
    find=to_rerun,
    none="No ended run matches the filter: there is nothing to run again.",
)


def preview_cancel(ask: Ask, backend: Backend) -> Response:
    return _preview(ask, backend, CANCEL)


def preview_rerun(ask: Ask, backend: Backend) -> Response:
    return _preview(ask, backend, RERUN)


def cancel(ask: Ask, backend: Backend) -> Response:
    with backend.writing() as postgres:
        hit = _same(ask, postgres, CANCEL)
        with postgres.transaction():
            for each in hit.runs:
                request_stop(postgres, RequestKind.CANCEL, each["run_id"], None, ask.field("note"))
    return redirect(_list(ask, asked="cancel", count=str(len(hit.runs))))


def rerun(ask: Ask, backend: Backend) -> Response:
    """A run that the database refuses does not stop the others; the page names it."""
    values = {"downstream": False, "note": ask.field("note"), "payload": None}
    with backend.writing() as postgres:
        names = [each["run_id"] for each in _same(ask, postgres, RERUN).runs]
        asked, refused = request_reruns(postgres, names, values, is_bulk=True)
    if not refused:
        return redirect(_list(ask, asked="rerun", count=str(len(asked))))
    rows = ((run_link(each["run_id"]), visible(each["reason"])) for each in refused)
    said = f"{len(asked):,} of {len(names):,} runs run again. The database refused the others."
    return page(ask, RERUN.title, h.p(class_="lead")[said], table("Refused runs", ("Run", "Why not"), rows, empty=""))


def _same(ask: Ask, postgres: psycopg.Connection[Row], action: Action) -> Hit:
    """What the preview has shown, without what has changed since. Raises `UsageError`."""
    seen_at = instant_in(ask.field("seen_at") or "")
    if seen_at is None:
        raise UsageError("the preview is missing: open it from the list of runs")
    return action.find(postgres, filter_of(ask), seen_at)


def _preview(ask: Ask, backend: Backend, action: Action) -> Response:
    with backend.reading() as postgres:
        now = now_of(postgres)
        hit = action.find(postgres, filter_of(ask), now)
    back = h.p[h.a(href=_list(ask))["Back to the list"]]
    if not hit.runs:
        return page(ask, action.title, h.p(class_="empty")[action.none], _left_out(hit), back)
    return page(
        ask,
        action.title,
        h.p(class_="lead")[f"This hits {_runs(len(hit.runs))}", _filter(hit), "."],
        _left_out(hit),
        _confirm(ask, action, hit, now),
        h.div(class_="columns")[
            section("By job or DAG", _owners(hit)), section("The newest of them", _newest(ask, hit))
        ],
        back,
    )


def _runs(count: int) -> str:
    return f"{count:,} {'run' if count == 1 else 'runs'}"


def _filter(hit: Hit) -> h.Node:
    words = " or ".join(each.value.replace("_", " ") for each in hit.asked.states)
    owner = hit.asked.dag or hit.asked.job
    return f" that {'is' if len(hit.runs) == 1 else 'are'} {words}{f', of {visible(owner)}' if owner else ''}"


def _left_out(hit: Hit) -> h.Node:
    said = [
        f"{_runs(hit.left_out)} of the filter left out: nodes go with their DAG runs, and backfills and ranges of "
        "missed occurrences do not run again."
        if hit.left_out
        else "",
        _CUT if hit.is_cut else "",
    ]
    told = [each for each in said if each]
    return h.p(class_="note")[" ".join(told)] if told else None


def _confirm(ask: Ask, action: Action, hit: Hit, now: datetime) -> h.Element:
    times = {"from": _fixed(hit.asked.begin), "to": _fixed(hit.asked.end)}
    return h.form(method="post", action=ask.url(**times), class_="actions confirm")[
        h.input(type="hidden", name="seen_at", value=rfc3339(now + MILLISECOND)),
        note_field(size=32),
        h.button(type="submit", class_="main")[f"{action.button}: {_runs(len(hit.runs))}"],
    ]


def _fixed(at: datetime | None) -> str | None:
    """A time that was given relative to now, such as `1h`, must not move until the button is pressed."""
    return at.isoformat() if at else None


def _owners(hit: Hit) -> h.Element:
    shown = hit.owners[:OWNERS_SHOWN]
    more = len(hit.owners) - len(shown)
    made = table(
        "By job or DAG", ("Job or DAG", "Runs"), ((visible(owner), f"{count:,}") for owner, count in shown), empty=""
    )
    return h.div[made, h.p(class_="note")[f"and {more:,} more jobs and DAGs"] if more else None]


def _newest(ask: Ask, hit: Hit) -> h.Element:
    rows = (
        (state(each["state"]), run_link(each["run_id"]), instant(ask, each["scheduled_time"]))
        for each in hit.runs[:SHOWN]
    )
    return table("The newest of them", ("State", "Run", "Scheduled"), rows, empty="")


def _list(ask: Ask, **more: str) -> str:
    """The list of runs with the same filter."""
    kept = {name: values for name, values in ask.query.items() if name in FIELDS}
    text = urlencode([*kept.items(), *more.items()], doseq=True)
    return f"/runs?{text}" if text else "/runs"
