"""The sections of the first page: what fails, what is overdue, problems, parts, the backlog, what runs."""

from __future__ import annotations

from typing import Any

import htpy as h

from schemas.reasons import ReasonCode
from tidemill.output import visible
from tidemill.target import Row
from tidemill.web import health
from tidemill.web.ask import Ask
from tidemill.web.background import Reading
from tidemill.web.home_facts import HomeFacts
from tidemill.web.marks import mark, state
from tidemill.web.pieces import bounded, brief, instant, job_url, owner_link, run_link, run_url, section, table, took
from tidemill.web.run_list import MOST_COUNTED, MOST_READ, MOST_SEARCHED

MOST_OVERDUE = 8


def failing(ask: Ask, found: HomeFacts) -> h.Element:
    heads = ("Last end", "Job or DAG", "Failures", "When", "Why")
    made = table(
        "Failing in the last day",
        heads,
        (
            (
                h.a(href=run_url(each["run_id"]))[state(each["state"])],
                owner_link(each["job_id"], is_dag=each["is_dag"]),
                f"{each['failures']:,}",
                instant(ask, each["last_at"]),
                h.span(class_="why")[visible(each["reason"] or "")],
            )
            for each in found.failing
        ),
        empty="No run that ended in the last day failed, timed out, died or was missed.",
    )
    return section("Failing in the last day", made, note="by the time of the end")


def overdue(ask: Ask, reading: Reading[list[Row]] | None) -> h.Element:
    if reading is None or reading.value is None:
        why = "It is being looked at." if reading is None else f"It is not known: {visible(reading.problem or '')}."
        return section("Overdue", h.p(class_="empty")[why], id_="overdue")
    found = reading.value[:MOST_OVERDUE]
    made = table(
        "Overdue",
        ("Job or DAG", "Was due", "Late by"),
        (
            (
                h.a(href=job_url(each["name"]), class_="id")[visible(each["name"])],
                instant(ask, each["due"]),
                brief(each["late"]),
            )
            for each in found
        ),
        empty="Every occurrence that was due has a run, or a reason why not.",
    )
    more = len(reading.value) - len(found)
    return section(
        "Overdue",
        made,
        h.p(class_="note")[f"and {more:,} more"] if more else None,
        id_="overdue",
        note="due, and nothing is known of it",
    )


def late(found: HomeFacts) -> h.Element:
    made = table(
        "Started late",
        ("Job or DAG", "Runs", "Worst"),
        (
            (
                owner_link(each["job_id"], is_dag=each["is_dag"]),
                f"{each['runs']:,}",
                h.a(href=run_url(each["run_id"]))[brief(each["late_by"])],
            )
            for each in found.late
        ),
        empty="No run of the last day started more than a minute after it was due.",
    )
    return section("Started late in the last day", made, note=f"of the newest {MOST_SEARCHED:,} runs")


def problems(ask: Ask, found: HomeFacts) -> h.Element:
    items = h.ul(class_="plainlist")[
        (
            h.li[
                mark("bad" if each["kind"] == "alert" else "warn"),
                h.span[
                    h.b[each["code"].replace("_", " ")],
                    " ",
                    visible(each["reason"]),
                    " ",
                    h.span(class_="note")[instant(ask, each["at"])],
                ],
            ]
            for each in found.newest
        )
    ]
    empty = h.p(class_="empty")["No input was set aside and no alert was raised in the last day."]
    link = h.p[h.a(href="/problems")["All problems, with what to do"]]
    return section("Problems", items if found.newest else empty, link if found.newest else None)


def parts(ask: Ask, lines: list[health.Line], reading: Reading[Any] | None) -> h.Element:
    items = h.ul(class_="plainlist")[
        h.li[mark("ok"), h.span[h.b["Postgres"], " It has answered for this page."]],
        (h.li[mark(each.state), h.span[h.b[each.part], " ", visible(each.sentence)]] for each in lines),
    ]
    return section("Parts", items, note=h.fragment["seen at ", instant(ask, reading.at)] if reading else None)


def backlog(found: HomeFacts) -> h.Element:
    made = table(
        "Backlog",
        ("Class", "Runs", "Oldest", "Waits because"),
        (
            (
                each["timeout_class"] or "none yet",
                bounded(min(each["runs"], MOST_COUNTED), each["runs"] < MOST_READ),
                h.a(href=run_url(each["run_id"]))[took(each["oldest"], found.now) if each["is_due"] else "to come"],
                h.span(class_="why")[_because(each)],
            )
            for each in found.backlog
        ),
        empty="Nothing waits: every run that was due has started.",
    )
    return section("Backlog", made, note="by class and reason")


def _because(row: Row) -> str:
    if row["state"] == "retry_wait":
        return f"its next attempt comes later: {visible(row['reason'] or row['reason_code'] or 'it failed')}"
    if not row["is_due"]:
        return "its time has not come"
    if row["reason_code"] == ReasonCode.NO_CAPABLE_EXECUTOR:  # each run may lack something else
        return "no executor gives what they ask for: see the page of the run"
    if row["reason"] or row["reason_code"]:
        return visible(row["reason"] or row["reason_code"])
    return "no slot of its class is free, or it has just been queued"


def longest(found: HomeFacts) -> h.Element:
    made = table(
        "Running now",
        ("Run", "Class", "Executor", "For"),
        (
            (
                run_link(each["run_id"]),
                each["timeout_class"] or "",
                visible(each["executor_id"] or ""),
                took(each["started_at"], found.now),
            )
            for each in found.longest
        ),
        empty="No process runs now.",
    )
    return section("Running now", made, note="due first")
