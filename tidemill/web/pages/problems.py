"""The problems: inputs that were set aside and alerts, in words, with what to do."""

from __future__ import annotations

from typing import Any

import htpy as h
import orjson
from starlette.responses import Response

from schemas.reasons import ProblemCode, ProblemKind
from tidemill.instants import parse_instant
from tidemill.output import visible
from tidemill.queries import rows
from tidemill.target import Row, UsageError
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.layout import page
from tidemill.web.meanings import meanings
from tidemill.web.paging import Cursor, read, written
from tidemill.web.pieces import choice, facts, instant, job_url, live, run_link, text_field

PAGE_ROWS = 50
SIGNS = {"dead_letter": "warn", "alert": "bad"}
KINDS = {"dead_letter": "An input that had no effect", "alert": "An alert"}


def make(ask: Ask, backend: Backend) -> Response:
    with backend.reading() as postgres:
        found = rows(postgres, "web_problems", _values(ask))
    shown = found[:PAGE_ROWS]
    items = h.ol(class_="problems")[(_item(ask, each) for each in shown)] if shown else _empty(ask)
    more = found[PAGE_ROWS - 1] if len(found) > PAGE_ROWS else None
    return page(ask, "Problems", _form(ask), live(ask, "list", ("problems",), items, _pager(ask, more)))


def _values(ask: Ask) -> dict[str, Any]:
    since, after = ask.one("from"), ask.one("after")
    code, kind = ask.one("code"), ask.one("kind")
    if kind is not None and kind not in SIGNS:
        raise UsageError(f"there is no kind {kind!r} of problems")
    return {
        "since": parse_instant("from", since, ask.now, ask.timezone, ago=True) if since else None,
        "codes": [code] if code else None,
        "kind": kind,
        "owner": ask.one("owner"),
        "limit": PAGE_ROWS + 1,
        **_after(read(after) if after else None),
    }


def _after(cursor: Cursor | None) -> dict[str, Any]:
    if cursor is None:
        return dict.fromkeys(("after_at", "after_partition", "after_offset", "after_topic"))
    try:
        partition, offset, topic = orjson.loads(cursor.id)
        key = {"after_partition": int(partition), "after_offset": int(offset), "after_topic": str(topic)}
    except (ValueError, TypeError) as error:
        raise UsageError("the link to this page of the list is broken: go back to its first page") from error
    return {"after_at": cursor.at, **key}


def _form(ask: Ask) -> h.Element:
    return h.form(method="get", action="/problems", class_="filters", role="search", aria_label="Filters")[
        h.div(class_="fields")[
            choice("kind", "Kind", [each.value for each in ProblemKind], ask.one("kind")),
            choice("code", "Code", [each.value for each in ProblemCode], ask.one("code")),
            text_field("owner", "Job or DAG", ask.one("owner"), is_search=True),
            text_field("from", "From", ask.one("from"), hint="2h, or 2026-11-21"),
            h.button(type="submit", class_="main")["Filter"],
            h.a(href="/problems", class_="plain")["All problems"],
        ]
    ]


def _item(ask: Ask, problem: Row) -> h.Element:
    return h.li(class_=f"card {SIGNS.get(problem['kind'], 'warn')}")[
        h.header[
            h.strong[problem["code"].replace("_", " ")],
            h.span(class_="note")[KINDS.get(problem["kind"], problem["kind"])],
            h.span(class_="note")[instant(ask, problem["at"])],
        ],
        h.p[_sentence(problem["reason"])],
        h.p(class_="meaning")[meanings(ProblemCode).get(problem["code"], "")],
        facts(_facts(problem)),
        _record(problem["record"]),
    ]


def _facts(problem: Row) -> list[tuple[str, h.Node]]:
    owner, source = problem["owner"], problem["source_topic"]
    where = f"{source}, partition {problem['source_partition']}, offset {problem['source_offset']}" if source else None
    return [
        ("Job or DAG", owner and h.a(href=job_url(owner))[visible(owner)]),
        ("Run", problem["run_id"] and run_link(problem["run_id"])),
        ("Request", problem["request_id"] and visible(problem["request_id"])),
        ("Input", where and visible(where)),
    ]


def _record(record: str | None) -> h.Node:
    if not record:
        return None
    return h.details[h.summary["The input"], h.pre(tabindex="0")[visible(record)]]


def _sentence(reason: str) -> str:
    return visible(reason[:1].upper() + reason[1:]).rstrip(".") + "."


def _empty(ask: Ask) -> h.Element:
    if ask.one("after"):
        return h.p(class_="empty")["The list ends here."]
    if any(ask.one(name) for name in ("kind", "code", "owner", "from")):
        return h.p(class_="empty")["No problem matches all filters."]
    return h.p(class_="empty")[
        "There is no problem: every record could be read, every request was possible, and no run is dead."
    ]


def _pager(ask: Ask, last: Row | None) -> h.Element:
    key = last and orjson.dumps([last["partition"], last["record_offset"], last["topic_id"]]).decode()
    cursor = Cursor(at=last["at"], id=key) if last and key else None
    return h.nav(class_="pager", aria_label="Pages of the list")[
        h.a(href=ask.url(after=None))["First page"] if ask.one("after") else None,
        h.a(href=ask.url(after=written(cursor)), rel="next")["Older problems"] if cursor else None,
    ]
