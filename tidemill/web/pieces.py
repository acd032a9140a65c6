"""The pieces that pages are made of: times, tables, links, forms, live regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

import htpy as h

from schemas.times import rfc3339
from streams.core.schedule import zone as zones
from tidemill.explain.telling import lasted
from tidemill.output import visible
from tidemill.web.ask import Ask
from tidemill.web.changes import Change

NONE = "\u2013"
"""A cell without a value."""


def run_url(run_id: str, *more: str) -> str:
    return "/".join(["/runs", quote(run_id, safe=""), *more])


def job_url(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"


def dag_url(dag_id: str) -> str:
    return f"/dags/{quote(dag_id, safe='')}"


def run_link(run_id: str) -> h.Element:
    return h.a(href=run_url(run_id), class_="id")[visible(run_id)]


def owner_link(owner: str, *, is_dag: bool) -> h.Element:
    return h.a(href=dag_url(owner) if is_dag else job_url(owner), class_="id")[visible(owner)]


def instant(ask: Ask, at: datetime | None, timezone: str | None = None) -> h.Node:
    """A time in the reader's zone, and in `timezone` (the job's) if its clock shows another time; UTC is the title."""
    if at is None:
        return NONE
    title = f"{rfc3339(at)} (UTC)"
    shown = h.time(datetime=rfc3339(at), title=title)[clock(at, ask.timezone, ask.now)]
    if timezone is None or at.astimezone(zones.load(timezone)).utcoffset() == _here(ask, at).utcoffset():
        return shown
    there = h.span(class_="there", title=title)[f"{clock(at, timezone, ask.now)} {timezone}"]
    return h.fragment[shown, " ", there]


def clock(at: datetime, timezone: str, now: datetime) -> str:
    """`14:03:07` on the reader's day, `30 Nov 14:03:07` in the same year, otherwise with the year."""
    zone = zones.load(timezone)
    local, today = at.astimezone(zone), now.astimezone(zone)
    text = f"{local:%H:%M:%S}"
    if local.date() == today.date():
        return text
    day = f"{local.day} {local:%b}"
    return f"{day} {text}" if local.year == today.year else f"{day} {local.year} {text}"


def _here(ask: Ask, at: datetime) -> datetime:
    return at.astimezone(zones.load(ask.timezone))


def took(begin: datetime | None, end: datetime | None) -> str:
    """The time between two instants as text."""
    return NONE if begin is None or end is None else brief(end - begin)


def brief(duration: timedelta) -> str:
    """A duration as exact as a reader needs it: `0.054 s`, `8.1 s`, `46 s`, `2 h 5 min`."""
    found = max(duration.total_seconds(), 0.0)
    if found < 9.95 and found != int(found):
        return f"{found:.3f} s" if found < 1 else f"{found:.1f} s"
    return lasted(timedelta(seconds=round(found)))


def table(caption: str, heads: Sequence[h.Node], rows: Iterable[Sequence[h.Node]], *, empty: h.Node) -> h.Element:
    """A table that scrolls sideways on a phone; without rows, the sentence that says why there are none."""
    made = [h.tr[(h.td[cell] for cell in row)] for row in rows]
    if not made:
        return h.p(class_="empty")[empty]
    return h.div(class_="scroll", tabindex="0", role="region", aria_label=caption)[
        h.table[
            h.caption(class_="unseen")[caption],
            h.thead[h.tr[(h.th(scope="col")[each] if each else h.td for each in heads)]],
            h.tbody[made],
        ]
    ]


def section(title: str, *content: h.Node, id_: str | None = None, note: h.Node = None) -> h.Element:
    return h.section(id=id_)[h.header[h.h2[title], note and h.span(class_="note")[note]], *content]


def facts(pairs: Iterable[tuple[str, h.Node]]) -> h.Element:
    """Names with values, without those that have none."""
    return h.dl(class_="facts")[
        (h.div[h.dt[name], h.dd[value]] for name, value in pairs if value not in (None, "", NONE))
    ]


def live(
    ask: Ask, name: str, on: Sequence[Change], *content: h.Node, run_id: str | None = None, ticks: bool = False
) -> h.Element:
    """A region that the page gets again when something changed: `on` says what; `run_id` is for the change `run`.
    With `ticks` it also renews itself every few seconds, because it shows how long something takes.

    Without JavaScript it is an ordinary part of the page.
    """
    return h.div(
        id=name,
        data_live=" ".join(on),
        data_run=run_id,
        data_ticks=ticks,
        hx_get=ask.url(),
        hx_select=f"#{name}",
        hx_target=f"#{name}",
        hx_swap="outerMorph",
        hx_trigger="refresh",
    )[content]


def bounded(count: int, is_exact: bool) -> str:
    """A count that stopped at a limit: `10,000+`."""
    return f"{count:,}{'' if is_exact else '+'}"


def text_field(name: str, label: str, value: str | None, *, hint: str = "", is_search: bool = False) -> h.Element:
    """A field of a form; the key `/` goes to the one that `is_search`."""
    return h.label[
        label,
        h.input(name=name, value=value, placeholder=hint or None, size="16", data_search=is_search, autocomplete="off"),
    ]


def choice(name: str, label: str, words: Iterable[str], chosen: str | None) -> h.Element:
    """A list of words and `any`."""
    return h.label[label, options(name, ("", *words), chosen or "")]


def options(name: str, words: Iterable[str], chosen: str) -> h.Element:
    return h.select(name=name)[
        (h.option(value=each, selected=each == chosen)[each.replace("_", " ") or "any"] for each in words)
    ]


def action(label: str, url: str, verb: str, *fields: h.Node, css: str = "", method: str = "post") -> h.Element:
    """A button that opens a small form."""
    return h.details(class_="action")[
        h.summary(class_=css or None)[f"{label}…"],
        h.form(method=method, action=url)[fields, h.button(type="submit", class_="main")[verb]],
    ]


def note_field(size: int = 24) -> h.Element:
    """Why somebody does this; `size` in letters."""
    return h.label["Note", h.input(name="note", size=str(size), autocomplete="off")]


def done(*sentence: h.Node) -> h.Element:
    """What the page says after a button."""
    return h.p(class_="done", role="status")[sentence]
