"""The first page: is everything well, what runs, waits and fails, and what starts when."""

from __future__ import annotations

import htpy as h
from starlette.responses import Response

from tidemill.output import visible
from tidemill.target import Row
from tidemill.web import health
from tidemill.web import home_sections as sections
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.background import Reading
from tidemill.web.home_facts import HomeFacts, read_home
from tidemill.web.layout import page
from tidemill.web.marks import mark
from tidemill.web.pieces import bounded, live
from tidemill.web.planned import planned
from tidemill.web.run_list import MOST_COUNTED, MOST_READ
from tidemill.web.week import Week

UNKNOWN = "…"
"""A number that the background has not read yet."""


def make(ask: Ask, backend: Backend) -> Response:
    with backend.reading() as postgres:
        found = read_home(postgres)
    parts, week, overdue = (backend.background.get(name) for name in ("parts", "week", "overdue"))
    lines = health.lines(parts.value if parts else None, found.now)
    late = overdue.value if overdue else None
    return page(
        ask,
        "Home",
        live(
            ask,
            "home",
            ("runs", "problems", "background"),
            _lead(found, lines, late or []),
            _tiles(found, late, week),
            h.div(class_="halves")[
                h.div[
                    sections.failing(ask, found),
                    sections.overdue(ask, overdue),
                    sections.late(found),
                    sections.problems(ask, found),
                ],
                h.div[sections.parts(ask, lines, parts), sections.backlog(found), sections.longest(found)],
            ],
            planned(ask, week),
        ),
    )


def _lead(found: HomeFacts, lines: list[health.Line], overdue: list[Row]) -> h.Element:
    """One sentence: is everything well?"""
    bad = [f"{each.part}: {each.sentence}" for each in lines if each.state == "bad"]
    if bad:
        return _verdict("bad", "It does not work.", " ".join(bad))
    late = found.open["queued"]["late"] if "queued" in found.open else 0
    said = [
        _many(len(overdue), "job or DAG is overdue", "jobs and DAGs are overdue"),
        _many(len(found.failing), "job or DAG failed in the last day", "jobs and DAGs failed in the last day"),
        _many(len(found.late), "job or DAG started late in the last day", "jobs and DAGs started late in the last day"),
        _many(late, "run has waited for longer than a minute", "runs have waited for longer than a minute"),
        *(f"{each.part}: {each.sentence.rstrip('.')}" for each in lines if each.state == "warn"),
    ]
    told = [each for each in said if each]
    if told:
        return _verdict("warn", "It works, and needs a look:", f"{'; '.join(told)}.")
    if any(each.state == "unknown" for each in lines):
        return _verdict("unknown", "The tables show no failure;", "the parts are being looked at.")
    return _verdict("ok", "All is well.", "Every part works, and nothing failed in the last day.")


def _verdict(sign: str, verdict: str, why: str) -> h.Element:
    return h.p(class_="lead verdict")[mark(sign), h.span[h.strong[verdict], " ", visible(why)]]


def _many(count: int, one_word: str, more: str) -> str:
    """A count with its words; empty for none."""
    shown = bounded(min(count, MOST_COUNTED), count < MOST_READ)
    return f"{shown} {one_word if count == 1 else more}" if count else ""


def _tiles(found: HomeFacts, overdue: list[Row] | None, week: Reading[Week] | None) -> h.Element:
    failures = found.failing[0]["all_failures"] if found.failing else 0
    failed = "".join(f"&state={each}" for each in ("failed", "timed_out", "dead", "missed"))
    due = sum(week.value.next_hour) if week and week.value else None
    return h.ul(class_="tiles")[
        _tile("running", _open(found, "running"), "running now", "/runs?state=running"),
        _tile("queued", _open(found, "queued", "retry_wait"), "waiting", "/runs?state=queued&state=retry_wait"),
        _tile("failed", f"{failures:,}", "failed in the last day", f"/runs?time=finished&from=24h{failed}"),
        _tile("missed", UNKNOWN if overdue is None else f"{len(overdue):,}", "overdue", "#overdue"),
        _tile("warn", _bounded(found.problems), "problems in the last day", "/problems?from=24h"),
        _tile("skipped", UNKNOWN if due is None else f"{due:,}", "start in the next hour", "#planned"),
    ]


def _open(found: HomeFacts, *words: str) -> str:
    return _bounded(sum(found.open[each]["runs"] for each in words if each in found.open))


def _bounded(count: int) -> str:
    return bounded(min(count, MOST_COUNTED), count < MOST_READ)


def _tile(sign: str, number: str, words: str, url: str) -> h.Element:
    return h.li[h.a(href=url)[h.span(class_="number")[mark(sign), number], h.span(class_="words")[words]]]
