"""Requests: rows of `tidemill.requests`. The idempotency key is the id of the request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec
import psycopg

from schemas.ids import owner_of_run, request_run_id
from schemas.words import RequestKind, RunState
from tidemill.api.bodies import RequestBody, TriggerBody
from tidemill.api.problem import problem
from tidemill.api.route import Answer, Call, Later
from tidemill.queries import one
from tidemill.runs import refusal
from tidemill.target import NotFoundError, Row
from tidemill.web.backend import Backend

LONGEST_WAIT = 60.0
OWN_RUN = frozenset({RequestKind.RUN, RequestKind.BACKFILL})
"""Kinds whose request is a run."""

INSERT = """
with said as (
    select * from json_populate_record(null::tidemill.requests, %(body)s::json)
)
insert into tidemill.requests (
    request_id, kind, job_id, dag_id, run_id, run_at, payload, note, traceparent, backfill_from, backfill_to,
    reprocess, max_active_runs, run_backwards, dry_run, downstream, mark_as
)
select
    %(request_id)s, coalesce(kind, 'run'), job_id, dag_id, run_id, run_at, payload, note, traceparent, backfill_from,
    backfill_to, reprocess, max_active_runs, run_backwards, dry_run, coalesce(downstream, false), mark_as
from said
on conflict do nothing
returning request_id
"""
STORED = """
select *
from tidemill.requests
where request_id = %(request_id)s and owner = %(owner)s
"""


class RequestQuery(msgspec.Struct, frozen=True, kw_only=True):
    owner: str | None = None
    """The job or DAG, if several have a request with this id."""


def post(call: Call, backend: Backend) -> Answer:
    body: RequestBody = call.body
    return _accepted(call, backend, body, call.raw, _request_id(call.headers, body.request_id))


def post_batch(call: Call, backend: Backend) -> Answer:
    """All in one transaction: if one is refused, none is written."""
    parts = msgspec.json.decode(call.raw, type=_RawBatch).items
    accepted = []
    with backend.writing() as postgres, postgres.transaction():
        for body, raw in zip(call.body.items, parts, strict=True):
            request_id = body.request_id or str(uuid4())
            _write(postgres, body, bytes(raw), request_id)
            accepted.append(_told(body, request_id))
    return Answer(status=202, body={"items": accepted})


class _RawBatch(msgspec.Struct):
    items: list[msgspec.Raw]


def trigger_job(call: Call, backend: Backend) -> Answer:
    return _trigger(call, backend, "job_id")


def trigger_dag(call: Call, backend: Backend) -> Answer:
    return _trigger(call, backend, "dag_id")


def _trigger(call: Call, backend: Backend, column: str) -> Answer:
    """A request of kind run; an empty body is one without a payload."""
    body: TriggerBody = call.body
    owner = call.parts[column]
    members = msgspec.json.decode(call.raw, type=dict[str, msgspec.Raw])
    raw = msgspec.json.encode({**members, column: msgspec.Raw(msgspec.json.encode(owner))})
    names = {"run_at": body.run_at, "note": body.note, "traceparent": body.traceparent, column: owner}
    asked = RequestBody(payload=body.payload, **names)  # type: ignore[arg-type]
    return _accepted(call, backend, asked, raw, _request_id(call.headers, None))


def _accepted(call: Call, backend: Backend, body: RequestBody, raw: bytes, request_id: str) -> Answer:
    with backend.writing() as postgres:
        _write(postgres, body, raw, request_id)
    told = _told(body, request_id)
    headers = {"location": _location(told["run_id"])} if told["run_id"] else {}
    wait = wait_seconds(call.headers)
    if wait is None or told["run_id"] is None:
        return Answer(status=202, body=told, headers=headers)
    applied = {**headers, "preference-applied": f"wait={wait:g}"}
    later = Later(look=partial(_ended, told["run_id"], request_id, applied), seconds=wait)
    return Answer(status=202, body=told, headers=applied, later=later)


def _write(postgres: psycopg.Connection[Row], body: RequestBody, raw: bytes, request_id: str) -> None:
    """Raises `ProblemError` (422) if the id belongs to another request, and what the database refuses."""
    values = {"body": raw.decode(), "request_id": request_id}
    if postgres.execute(INSERT, values).fetchone() is not None:
        return
    known = postgres.execute(STORED, {"request_id": request_id, "owner": _owner(body)}).fetchone()
    if known is None or not _is_same(known, body):
        raise problem(
            "idempotency-mismatch",
            f"request {request_id!r} of {_owner(body)!r} exists already, and asks for something else",
            pointer="/request_id",
        )


def _is_same(known: Row, body: RequestBody) -> bool:
    """Whether the stored request asks for what this one asks for."""
    asked = msgspec.structs.asdict(body)
    said = {name: getattr(value, "value", value) for name, value in asked.items() if name != "request_id"}
    return all(known[name] == value or (value is None and name in _DEFAULTED) for name, value in said.items())


_DEFAULTED = frozenset({"dag_id", "job_id", "reprocess", "max_active_runs", "run_backwards", "dry_run"})
"""Columns that the table fills in."""


def _owner(body: RequestBody) -> str | None:
    return body.job_id or body.dag_id or owner_of_run(body.run_id or "")


def _told(body: RequestBody, request_id: str) -> dict[str, Any]:
    owner = body.job_id or body.dag_id
    is_own = body.kind in OWN_RUN and owner is not None
    run_id = request_run_id(owner, request_id) if is_own and owner else body.run_id
    return {"request_id": request_id, "kind": body.kind.value, "owner": _owner(body), "run_id": run_id}


def _location(run_id: str) -> str:
    return f"/v1/runs/{quote(run_id, safe='')}"


def _request_id(headers: Mapping[str, str], in_body: str | None) -> str:
    """Idempotency-Key is a string in quotes; without quotes it is taken too."""
    said = headers.get("idempotency-key", "").strip()
    key = said[1:-1] if len(said) > 1 and said[0] == said[-1] == '"' else said
    if key and in_body is not None and key != in_body:
        raise problem("invalid", f"Idempotency-Key is {key!r}, and request_id is {in_body!r}", pointer="/request_id")
    return key or in_body or str(uuid4())


def wait_seconds(headers: Mapping[str, str]) -> float | None:
    """`Prefer: wait=30` (RFC 7240)."""
    for each in headers.get("prefer", "").split(","):
        name, _, value = each.strip().partition("=")
        if name.lower() == "wait" and value.isascii() and value.isdecimal():
            return min(float(value[:9]), LONGEST_WAIT)
    return None


def _ended(run_id: str, request_id: str, headers: Mapping[str, str], backend: Backend) -> Answer | None:
    """The run when it has ended. Raises `ProblemError` if the request was refused."""
    with backend.reading() as postgres:
        run = one(postgres, "run", {"run_id": run_id})
        refused = run is None and refusal(postgres, str(owner_of_run(run_id)), request_id)
    if refused:
        raise problem("invalid", str(refused["reason"]))
    is_final = run is not None and RunState(run["state"]).is_final
    return Answer(body=run, headers=headers) if is_final else None


def get(call: Call, backend: Backend) -> Answer:
    """What was asked, and what became of it."""
    request_id, owner = call.parts["request_id"], call.query.owner
    query = """select * from tidemill.requests
               where request_id = %(request_id)s and (%(owner)s::text is null or owner = %(owner)s) limit 2"""
    with backend.reading() as postgres:
        found = postgres.execute(query, {"request_id": request_id, "owner": owner}).fetchall()
        if not found:
            raise NotFoundError(f"there is no request {request_id!r}, or it is not kept any more")
        if len(found) > 1:
            raise problem("conflict", f"several jobs have a request {request_id!r}: name one with ?owner=")
        (row,) = found
        is_own = RequestKind(row["kind"]) in OWN_RUN
        run_id = request_run_id(row["owner"], request_id) if is_own else row["run_id"]
        run = one(postgres, "run", {"run_id": run_id}) if run_id else None
        refused = refusal(postgres, row["owner"], request_id)
    state = run and run["state"]
    return Answer(body={**row, "run_id": run_id, "state": state, "refused": refused and refused["reason"]})
