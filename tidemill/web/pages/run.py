"""One run: what happened in sentences, its timeline, attempts, log, payload and result, and the buttons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import htpy as h
from starlette.responses import HTMLResponse, Response, StreamingResponse

from schemas.exit_codes import exit_code_in_words
from schemas.words import RunKind, RunState
from tidemill.explain.command import explain_run
from tidemill.explain.telling import Explanation, Fact
from tidemill.output import size, visible
from tidemill.queries import rows
from tidemill.target import NotFoundError, Row
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.dag_facts import most_relevant
from tidemill.web.layout import page
from tidemill.web.marks import state
from tidemill.web.pages.run_actions import actions, said
from tidemill.web.pieces import NONE, brief, facts, instant, live, owner_link, run_link, run_url, section, table, took
from tidemill.web.run_facts import RunFacts, read_facts, run_or_none
from tidemill.web.run_log import Log, read_log, whole
from tidemill.web.spans import spans
from tidemill.web.timeline import timeline

ATTEMPTS = ("Attempt", "Ended as", "Class", "Executor", "Started", "Took", "CPU", "Memory", "Exit code", "Token", "Why")
NODES = ("State", "Node", "Started", "Took", "Why")


def make(ask: Ask, backend: Backend) -> Response:
    run_id = ask.parts["run_id"]
    with backend.reading() as postgres:
        run = run_or_none(postgres, run_id)
        if run is None:
            return _unwritten(ask, explain_run(postgres, run_id), run_id)
        found = read_facts(postgres, run)
    log = _log(ask, backend, found) if found.seen.attempts else None
    return page(
        ask,
        visible(run_id),
        said(ask),
        live(ask, "run", ("run",), *_live(ask, found), run_id=run_id, ticks=not found.seen.state.is_final),
        log,
        _payload(found),
    )


def _unwritten(ask: Ask, told: Explanation, run_id: str) -> Response:
    """A run that is not in the database, with the reason."""
    return page(ask, visible(run_id), said(ask), live(ask, "run", ("runs",), *_told(ask, told)))


def _live(ask: Ask, found: RunFacts) -> Sequence[h.Node]:
    drawn = timeline(spans(found.run, found.seen.attempts, found.seen.now), ask.timezone, ask.now)
    is_dag = found.run["kind"] == RunKind.DAG.value
    return (
        h.p(class_="lead")[state(found.run["state"]), " ", visible(found.told.sentence)],
        _to_do(found.told),
        actions(found.run),
        drawn and section("Timeline", drawn),
        h.div(class_="columns")[
            section("Facts", _facts(ask, found)),
            section("What happened", _story(ask, found.told), note="the newest first"),
        ],
        section("Nodes", _nodes(ask, found)) if is_dag else None,
        section("Attempts", _attempts(ask, found)) if found.seen.attempts else None,
        section("Result", _json(found.run["result"], found.run)) if found.run["result_bytes"] is not None else None,
    )


def _told(ask: Ask, told: Explanation) -> Sequence[h.Node]:
    return (h.p(class_="lead")[visible(told.sentence)], _to_do(told), section("What is known", _story(ask, told)))


def _to_do(told: Explanation) -> h.Node:
    return told.to_do and h.ul(class_="todo")[(h.li[h.b["To do: "], visible(each), "."] for each in told.to_do)]


def _story(ask: Ask, told: Explanation) -> h.Node:
    if not told.facts:
        return h.p(class_="empty")["Nothing else is known."]
    return h.ol(class_="story", reversed=True)[(_fact(ask, each, told.timezone) for each in told.facts)]


def _fact(ask: Ask, fact: Fact, timezone: str) -> h.Element:
    return h.li[h.span(class_="when")[instant(ask, fact.at, timezone) if fact.at else ""], visible(fact.sentence)]


def _facts(ask: Ask, found: RunFacts) -> h.Element:
    run, zone = found.run, found.seen.timezone
    is_dag = run["dag_id"] is not None
    last = found.seen.attempts[-1] if found.seen.attempts else None
    code = run["exit_code"]
    return facts([
        ("DAG" if is_dag else "Job", owner_link(run["job_id"], is_dag=is_dag)),
        ("DAG run", run_link(run["run_id"].partition("/")[0]) if run["node_id"] else None),
        ("Kind", run["kind"]),
        ("Tenant", visible(run["tenant"])),
        ("Nominal time", instant(ask, run["nominal_time"], zone)),
        ("Scheduled", instant(ask, run["scheduled_time"], zone) if _has_jitter(run) else None),
        ("Ended", instant(ask, run["finished_at"], zone)),
        ("Class", run["timeout_class"]),
        ("Executor", run["executor_id"] and visible(run["executor_id"])),
        ("Fencing token", last and str(last["token"])),
        ("Exit code", None if code is None else f"{code} {f'({exit_code_in_words(code)})' if code else ''}"),
        ("Reason code", run["reason_code"]),
        ("Request", run["request_id"] and visible(run["request_id"])),
        ("Rerun by", run["rerun_id"] and visible(run["rerun_id"])),
        ("Blocked by", run["blocked_by"] and run_link(run["blocked_by"])),
        ("Executable", last and last["sha256"] and h.code[last["sha256"]]),
    ])  # fmt: skip


def _has_jitter(run: Row) -> bool:
    return bool(run["scheduled_time"] != run["nominal_time"])


def _attempts(ask: Ask, found: RunFacts) -> h.Element:
    now = None if RunState(found.run["state"]).is_final else found.seen.now
    return table("Attempts", ATTEMPTS, (_attempt(ask, each, now) for each in reversed(found.seen.attempts)), empty="")


def _attempt(ask: Ask, attempt: Row, now: Any) -> tuple[h.Node, ...]:
    end = attempt["finished_at"] or (None if attempt["ended_as"] else now)
    return (
        str(attempt["attempt"]),
        state(attempt["ended_as"]) if attempt["ended_as"] else "not ended",
        attempt["timeout_class"],
        visible(attempt["executor_id"] or NONE),
        instant(ask, attempt["started_at"]),
        took(attempt["started_at"], end),
        NONE if attempt["cpu_seconds"] is None else brief(timedelta(seconds=attempt["cpu_seconds"])),
        NONE if attempt["peak_memory"] is None else size(attempt["peak_memory"]),
        NONE if attempt["exit_code"] is None else str(attempt["exit_code"]),
        str(attempt["token"]),
        h.span(class_="why", title=attempt["reason_code"])[visible(attempt["reason"] or "")],
    )


def _nodes(ask: Ask, found: RunFacts) -> h.Node:
    shown, dag_id = most_relevant(found.seen.nodes), found.run["job_id"]
    nodes = (
        (
            state(each["state"]) if each["state"] else "waiting",
            run_link(each["run_id"]) if each["run_id"] else visible(each["node_id"]),
            instant(ask, each["started_at"]),
            took(each["started_at"], each["finished_at"]),
            h.span(class_="why")[visible(each["reason"] or "")],
        )
        for each in shown
    )
    made = table("Nodes", NODES, nodes, empty="The definition of the DAG that this run uses is not kept.")
    more = len(found.seen.nodes) - len(shown)
    address = f"/runs?{urlencode({'dag': dag_id, 'kind': RunKind.NODE.value})}"
    rest = (
        h.p[f"{more:,} more nodes are not shown; ", h.a(href=address)["their runs"], " are a list."] if more else None
    )
    return h.fragment[made, rest]


def _log(ask: Ask, backend: Backend, found: RunFacts) -> h.Element:
    attempts = found.seen.attempts
    chosen = _chosen(ask, attempts)
    log = read_log(backend, found.run["run_id"], chosen)
    number = chosen["attempt"]
    others = [
        h.a(href=f"{ask.url(attempt=str(each['attempt']))}#log", aria_current="true" if each is chosen else None)[
            f"attempt {each['attempt']}"
        ]
        for each in attempts
    ]
    url = run_url(found.run["run_id"], f"log.txt?attempt={number}")
    link = h.a(href=url, download=True)["Download the whole log"]
    cut = h.p(class_="note")["The beginning is left out here; the download has it."] if log.is_cut else None
    return section(
        "Log",
        h.nav(class_="pick", aria_label="Attempts with a log")[others, link],
        cut,
        _text(found.run, chosen, log),
        id_="log",
    )


def _chosen(ask: Ask, attempts: Sequence[Row]) -> Row:
    """The attempt of the URL, otherwise the last one. Raises `NotFoundError`."""
    text = ask.one("attempt")
    if text is None:
        return attempts[-1]
    found = next((each for each in attempts if str(each["attempt"]) == text), None)
    if found is None:
        raise NotFoundError(f"this run has no attempt {text}")
    return found


def _text(run: Row, attempt: Row, log: Log) -> h.Node:
    is_open = attempt["ended_as"] is None and not RunState(run["state"]).is_final
    empty = "It has written nothing yet." if is_open else "It wrote nothing."
    gone = log.gone and h.p(class_="problem")[f"{visible(log.gone)}."]
    return h.fragment[
        gone,
        h.pre(class_="log", tabindex="0", aria_label="Log")[
            h.span[visible(log.text)] if log.text else None if is_open else h.span(class_="empty")[empty],
            _follower(run["run_id"], attempt["attempt"], log.last_chunk) if is_open else None,
        ],
    ]


def _follower(run_id: str, attempt: int, last_chunk: str) -> h.Element:
    """It is replaced by what is new and the next follower."""
    values = json.dumps({"attempt": str(attempt), "chunk": last_chunk})
    return h.span(
        class_="follow",
        data_follow=True,
        hx_get=run_url(run_id, "log"),
        hx_vals=values,
        hx_trigger="refresh",
        hx_target="this",
        hx_swap="outerHTML",
    )["…"]


def more_log(ask: Ask, backend: Backend) -> Response:
    """What an attempt wrote since a chunk, and the next follower while it runs."""
    run, attempt = _attempt_of(ask, backend)
    log = read_log(backend, run["run_id"], attempt, ask.one("chunk") or "")
    is_open = attempt["ended_as"] is None and not RunState(run["state"]).is_final
    new = h.span[visible(log.text)] if log.text else None
    follower = _follower(run["run_id"], attempt["attempt"], log.last_chunk) if is_open else None
    return HTMLResponse(str(h.fragment[new, follower]))


def whole_log(ask: Ask, backend: Backend) -> Response:
    run, attempt = _attempt_of(ask, backend)
    headers = {"content-disposition": f'attachment; filename="attempt-{attempt["attempt"]}.log"'}
    return StreamingResponse(whole(backend, run["run_id"], attempt), media_type="text/plain", headers=headers)


def _attempt_of(ask: Ask, backend: Backend) -> tuple[Row, Row]:
    """The run with the attempt of the URL. Raises `NotFoundError`."""
    with backend.reading() as postgres:
        run = run_or_none(postgres, ask.parts["run_id"])
        attempts = rows(postgres, "attempts", run) if run else []
    if run is None or not attempts:
        raise NotFoundError(f"{ask.parts['run_id']!r} has no attempt")
    return run, _chosen(ask, attempts)


def _payload(found: RunFacts) -> h.Node:
    if found.payload is None:
        return None
    return section("Payload", _json(found.payload), note=found.payload_from)


def _json(value: Any, run: Row | None = None) -> h.Node:
    """JSON with its numbers as they are; a result that is in S3 as its address."""
    if value is None and run and run["result_uri"]:
        return h.p["It has ", f"{run['result_bytes']:,}", " bytes, and is in ", h.code[visible(run["result_uri"])], "."]
    text = json.dumps(value, indent=2, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return h.pre(class_="json", tabindex="0", aria_label="JSON")[visible(text)]
