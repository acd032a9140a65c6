"""One job: when it is due, how it went, day by day and run by run; its definition, its versions, and the buttons."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import htpy as h
from starlette.responses import Response

from schemas.times import rfc3339
from tidemill.confined import may_use
from tidemill.output import visible
from tidemill.target import Row, UsageError
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.calendar import calendar
from tidemill.web.durations import durations
from tidemill.web.job_facts import JobFacts, read_job
from tidemill.web.layout import page
from tidemill.web.marks import state
from tidemill.web.pages.owner_actions import JOBS
from tidemill.web.pages.owner_facts import next_times, schedule_facts
from tidemill.web.pieces import NONE, clock, facts, instant, job_url, live, run_link, section, table, took
from tidemill.web.versions import Change, Version

NEXT, LAST = 10, 12
LONGEST_NUMBER = 18
"""Digits of a version that Postgres can hold."""
RUNS = ("State", "Run", "Started", "Took", "Attempt")
LEGEND = (
    ("c-succeeded", "succeeded"),
    ("c-mixed", "some failed"),
    ("c-failed", "all failed"),
    ("c-quiet", "did not run"),
    ("c-none planned", "planned"),
    ("c-none unknown", "not read"),
)


def make(ask: Ask, backend: Backend) -> Response:
    with backend.reading() as postgres:
        found = read_job(postgres, ask.parts["job_id"], ask.timezone, ask.now, _before(ask))
    job = found.job
    edit = h.a(class_="action button", href=f"{job_url(job['job_id'])}/edit")["Edit"]
    return page(
        ask,
        visible(job["job_id"]),
        JOBS.said(ask),
        _lead(job),
        h.div(class_="actions")[JOBS.buttons(job), edit],
        live(ask, "job", ("runs",), *_live(ask, found)),
        h.div(class_="columns")[
            section("Definition", facts(_definition(ask, job)), note=f"version {job['version']}"),
            section("Versions", _versions(ask, found), note="the newest first"),
        ],
    )


def _before(ask: Ask) -> int | None:
    text = ask.one("versions_before")
    if text is None:
        return None
    if not text.isdecimal() or len(text) > LONGEST_NUMBER:
        raise UsageError(f"there is no version {text[:LONGEST_NUMBER]!r}")
    return int(text)


def _lead(job: Row) -> h.Node:
    if not job["paused"]:
        return None
    note = f" {visible(job['paused_note'])}" if job["paused_note"] else ""
    return h.p(class_="lead")[state("paused"), f" Nothing new becomes due.{note}"]


def _live(ask: Ask, found: JobFacts) -> Iterator[h.Node]:
    address = f"/runs?job={quote(found.job['job_id'], safe='')}"
    yield h.div(class_="columns")[
        section("Next times", _next(ask, found.job)),
        section("Last runs", _runs(ask, found), h.p[h.a(href=address)["All runs"]]),
    ]
    yield section("Days", calendar(found.days, found.today, address), _legend(), note=f"in {ask.timezone}")
    chart = durations(found.runs, found.job["timeout"], ask.timezone, ask.now)
    if chart:
        yield section("Durations", chart, note="from start to end of the last attempt")


def _next(ask: Ask, job: Row) -> h.Node:
    if job["schedule"] is None:
        return h.p(class_="empty")["It has no schedule: it runs only on request."]
    if job["paused"]:
        return h.p(class_="empty")["None while it is paused."]
    found = next_times(job, ask.now, NEXT)
    if not found:
        return h.p(class_="empty")["The schedule is never due again."]
    zone, reader = job["timezone"], ask.timezone
    if zone == reader:
        heads: tuple[str, ...] = (f"In {zone}", "")
        lines = [(instant(ask, at), _note(note)) for at, note in found]
        return table("The next times", heads, lines, empty="")
    there = [h.time(datetime=rfc3339(at))[clock(at, zone, ask.now)] for at, _ in found]
    both = [(local, instant(ask, at), _note(note)) for local, (at, note) in zip(there, found, strict=True)]
    return table("The next times", (f"In {zone}", f"In {reader}", ""), both, empty="")


def _note(note: str) -> h.Node:
    return h.span(class_="why")[state("warn"), note] if note else ""


def _runs(ask: Ask, found: JobFacts) -> h.Element:
    return table("The last runs", RUNS, (_run(ask, each) for each in found.runs[:LAST]), empty="It has not run yet.")


def _run(ask: Ask, run: Row) -> tuple[h.Node, ...]:
    return (
        state(run["state"]),
        run_link(run["run_id"]),
        instant(ask, run["started_at"]),
        took(run["started_at"], run["finished_at"] or ask.now),
        run["attempt"] or NONE,
    )


def _legend() -> h.Element:
    return h.ul(class_="legend")[
        (
            h.li[
                h.svg(class_="calendar key", viewBox="0 0 13 13", width="13", height="13", aria_hidden="true")[
                    h.g(class_=css)[
                        h.rect(width="13", height="13", rx="3"),
                        h.path(class_="sign", d="M4 4l5 5M9 4 4 9") if css in ("c-failed", "c-mixed") else None,
                    ]
                ],
                words,
            ]
            for css, words in LEGEND
        ),
        h.li[
            h.svg(class_="calendar key", viewBox="0 0 13 13", width="13", height="13", aria_hidden="true")[
                h.g(class_="c-succeeded")[
                    h.rect(width="13", height="13", rx="3"), h.path(class_="again", d="M8.5 .5h4v4Z")
                ]
            ],
            "backfilled",
        ],
    ]


def _definition(ask: Ask, job: Row) -> Iterator[tuple[str, h.Node]]:
    yield from schedule_facts(ask, job)
    yield "Executable", h.code[visible(job["executable"])]
    yield "Checksum", job["sha256"] and h.code[job["sha256"]]
    yield "Arguments", job["args"] and h.code[visible(" ".join(map(str, job["args"])))]
    yield "Environment", job["env"] and h.code[visible(" ".join(f"{name}={job['env'][name]}" for name in job["env"]))]
    yield "Timeout", str(job["timeout"]) if job["timeout"] else "the limit of its class"
    yield "Class", job["timeout_class"]
    yield "Attempts", f"{job['max_attempts']}, and {job['max_infra_retries']} after losses"
    yield "May use", may_use(job)
    yield "Pause after", job["pause_on_failure"] and f"{job['pause_on_failure']} failures in a row"


def _versions(ask: Ask, found: JobFacts) -> h.Node:
    older = found.next_version
    return h.fragment[
        h.ol(class_="versions")[(_version(ask, each) for each in found.versions)],
        h.nav(class_="pager", aria_label="Versions")[
            h.a(href=ask.url(versions_before=str(older)))["Older versions"] if older else None
        ],
    ]


def _version(ask: Ask, version: Version) -> h.Element:
    return h.li[
        h.span(class_="when")[f"{version.number} ", instant(ask, version.at)],
        _what(version),
    ]


def _what(version: Version) -> h.Node:
    if version.is_deleted:
        return "It was deleted."
    if version.is_first_known:
        return "The oldest version that is kept."
    if not version.changes:
        return "Written again without a change."
    return h.ul(class_="changes")[(_change(each) for each in version.changes)]


def _change(change: Change) -> h.Element:
    return h.li[
        h.b[change.name],
        " ",
        h.del_[visible(change.before)] if change.before is not None else h.span(class_="note")["no value"],
        " → ",
        h.ins[visible(change.after)] if change.after is not None else h.span(class_="note")["no value"],
    ]
