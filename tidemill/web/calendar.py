"""Draws the days of a job as a calendar: how its runs ended, what is planned, and what was backfilled. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import htpy as h
import msgspec

CELL, STEP, LEFT, TOP = 13.0, 16.0, 34.0, 18.0
WEEKS_BACK, WEEKS_AHEAD = 48, 4
BAD = frozenset({"failed", "dead", "timed_out", "upstream_failed"})
WAITING = frozenset({"queued", "running", "retry_wait", "cancelling"})
WEEK = ("Mon", "", "Wed", "", "Fri", "", "Sun")


class Day(msgspec.Struct, frozen=True, kw_only=True):
    runs: Mapping[str, int] = {}
    """How many runs of the day are in each state."""
    is_planned: bool = False
    is_backfilled: bool = False
    is_unknown: bool = False
    """The day is before the oldest run that was read."""

    @property
    def kind(self) -> str:
        """`failed`, `mixed` (some failed), `open`, `succeeded`, `quiet` (skipped, missed or cancelled) or `none`."""
        bad = sum(number for state, number in self.runs.items() if state in BAD)
        good = self.runs.get("succeeded", 0)
        if bad:
            return "mixed" if good else "failed"
        if good:
            return "succeeded"
        if any(state in WAITING for state in self.runs):
            return "open"
        return "quiet" if self.runs else "none"

    def said(self, day: date) -> str:
        counts = ", ".join(f"{number:,} {state.replace('_', ' ')}" for state, number in sorted(self.runs.items()))
        planned = " planned" if self.is_planned else ""
        told = counts or ("not read" if self.is_unknown else "" if planned else "nothing")
        return f"{day.day} {day:%b %Y}: {told}{planned}{', backfilled' if self.is_backfilled else ''}"


def first_day(today: date) -> date:
    """The Monday with which the calendar begins."""
    return today - timedelta(days=today.weekday(), weeks=WEEKS_BACK)


def last_day(today: date) -> date:
    """The Sunday with which it ends."""
    return first_day(today) + timedelta(weeks=WEEKS_BACK + WEEKS_AHEAD + 1, days=-1)


def calendar(days: Mapping[date, Day], today: date, address: str) -> h.Element:
    """`address`: the list of the job's runs, to which a day adds its times."""
    first, last = first_day(today), last_day(today)
    columns = ((last - first).days + 1) // 7
    width, height = LEFT + columns * STEP, TOP + 7 * STEP
    return h.div(class_="scroll newest", tabindex="0", role="region", aria_label="Calendar")[
        h.svg(class_="calendar", viewBox=f"0 0 {width:g} {height:g}", width=f"{width:g}", height=f"{height:g}")[
            (h.text(x="0", y=f"{TOP + row * STEP + 10:g}")[name] for row, name in enumerate(WEEK) if name),
            _months(first, columns),
            (_cell(each, days.get(each, Day()), first, today, address) for each in _between(first, last)),
        ]
    ]


def _between(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def _months(first: date, columns: int) -> Iterator[h.Node]:
    for column in range(columns):
        monday = first + timedelta(weeks=column)
        if monday.day <= 7:
            yield h.text(x=f"{LEFT + column * STEP:g}", y="10")[f"{monday:%b}"]


def _cell(day: date, found: Day, first: date, today: date, address: str) -> h.Node:
    column, row = divmod((day - first).days, 7)
    x, y = LEFT + column * STEP, TOP + row * STEP
    css = [f"c-{found.kind}"]
    css += ["planned"] if found.is_planned and day >= today else []
    css += ["unknown"] if found.is_unknown and not found.runs else []
    css += ["today"] if day == today else []
    box = h.g(class_=" ".join(css), transform=f"translate({x:g} {y:g})")[
        h.title[found.said(day)],
        h.rect(width=f"{CELL:g}", height=f"{CELL:g}", rx="3"),
        h.path(class_="sign", d="M4 4l5 5M9 4 4 9") if found.kind in ("failed", "mixed") else None,
        h.path(class_="again", d="M8.5 .5h4v4Z") if found.is_backfilled else None,
    ]
    if day > today or not found.runs:
        return box
    link = f"{address}&from={day.isoformat()}&to={(day + timedelta(days=1)).isoformat()}"
    return h.a(href=link, aria_label=found.said(day))[box]
