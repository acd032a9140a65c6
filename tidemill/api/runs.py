"""Runs from the read model: lists with filters, one run, its attempts, transitions, log and story."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
import psycopg
from msgspec import Meta

from schemas.reasons import ReasonCode
from schemas.words import RunKind, RunState
from tidemill.api import cursor as cursors
from tidemill.api.definitions import etag
from tidemill.api.problem import problem
from tidemill.api.requests import LONGEST_WAIT, wait_seconds
from tidemill.api.route import Answer, Call, Later
from tidemill.explain.command import explain_run
from tidemill.logs import no_attempt
from tidemill.queries import one, rows
from tidemill.target import NotFoundError, Row
from tidemill.web.backend import Backend
from tidemill.web.run_filter import RunFilter
from tidemill.web.run_list import count, read_page
from tidemill.web.run_log import whole

RANGE = re.compile(r"bytes=(\d+)-(\d*)")
MOST_LOG_BYTES = 4 * 1024**2
"""The most bytes of a log in one answer to a Range."""


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    job: str | None = None
    dag: str | None = None
    """Its DAG runs and their nodes."""
    tenant: str | None = None
    state: tuple[RunState, ...] = ()
    """Repeat it for more states."""
    reason: ReasonCode | None = None
    kind: RunKind | None = None
    time: Literal["scheduled", "finished"] = "scheduled"
    """What `from` and `to` are times of."""
    begin: datetime | None = msgspec.field(name="from", default=None)
    end: datetime | None = msgspec.field(name="to", default=None)
    count: bool = False
    """Count the runs of the filter, up to 10,000."""
    cursor: str | None = None
    """`next` of the page before."""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    wait: Annotated[float, Meta(ge=0, le=LONGEST_WAIT)] | None = None
    """Seconds to wait for the end, as `Prefer: wait=`."""


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    attempt: Annotated[int, Meta(ge=1)] | None = None
    """Default: the last one."""


def list_runs(call: Call, backend: Backend) -> Answer:
    said: ListQuery = call.query
    asked = RunFilter(
        job=said.job,
        dag=said.dag,
        tenant=said.tenant,
        states=tuple(dict.fromkeys(said.state)),
        reason=said.reason,
        kind=said.kind,
        by_end=said.time == "finished",
        begin=said.begin,
        end=said.end,
    )
    place = cursors.read(said.cursor, asked) if said.cursor else None
    with backend.reading() as postgres:
        found = read_page(postgres, asked, place, said.limit)
        number = (found.count or count(postgres, asked)) if said.count else None
    counted = number and {"value": number.value, "relation": "eq" if number.is_exact else "gte"}
    following = cursors.written(found.following, asked) if found.following else None
    return Answer(body={"items": [_plain(each) for each in found.rows], "next": following, "count": counted})


def _plain(run: Row) -> Row:
    """Without what only the query needs."""
    return {name: value for name, value in run.items() if name not in _OF_QUERY}


_OF_QUERY = frozenset({"candidates", "matching_candidates", "last_at", "last_id"})


def get(call: Call, backend: Backend) -> Answer:
    run_id = call.parts["run_id"]
    seconds = call.query.wait if call.query.wait is not None else wait_seconds(call.headers)
    if seconds is None:
        return _answer(backend, run_id, {})
    applied = {"preference-applied": f"wait={seconds:g}"}

    def look(again: Backend) -> Answer | None:
        """A run that was requested just now is not there yet."""
        try:
            found = _answer(again, run_id, applied)
        except NotFoundError:
            return None
        return found if RunState(found.body["state"]).is_final else None

    later = Later(look=look, seconds=seconds, otherwise=lambda again: _answer(again, run_id, applied))
    return Answer(later=later)


def _answer(backend: Backend, run_id: str, headers: dict[str, str]) -> Answer:
    with backend.reading() as postgres:
        run = _run(postgres, run_id)
    return Answer(body=run, headers={"etag": etag(run["version"]), **headers})


def _run(postgres: psycopg.Connection[Row], run_id: str) -> Row:
    run = one(postgres, "run", {"run_id": run_id})
    if run is None:
        raise NotFoundError(f"there is no run {run_id!r} in the read model; /v1/runs/…/explain says why")
    return run


def attempts(call: Call, backend: Backend) -> Answer:
    return _of_run(call, backend, "attempts")


def transitions(call: Call, backend: Backend) -> Answer:
    return _of_run(call, backend, "transitions")


def _of_run(call: Call, backend: Backend, name: str) -> Answer:
    with backend.reading() as postgres:
        run = _run(postgres, call.parts["run_id"])
        return Answer(body={"items": rows(postgres, name, run)})


def explain(call: Call, backend: Backend) -> Answer:
    with backend.reading() as postgres:
        told = explain_run(postgres, call.parts["run_id"])
    return Answer(body=msgspec.to_builtins(told, builtin_types=(datetime,)))


def log(call: Call, backend: Backend) -> Answer:
    """The bytes that an attempt wrote; a Range reads a part, so that a reader continues where it was."""
    with backend.reading() as postgres:
        run = _run(postgres, call.parts["run_id"])
        known = rows(postgres, "attempts", run)
    wanted = [each for each in known if call.query.attempt in (None, each["attempt"])]
    if not wanted:
        raise NotFoundError(no_attempt(run, known, call.query.attempt))
    chunks = whole(backend, run["run_id"], wanted[-1])
    first = next(chunks, b"")
    everything = chain([first], chunks)
    headers = {"x-tidemill-attempt": str(wanted[-1]["attempt"]), "accept-ranges": "bytes"}
    asked = RANGE.fullmatch(call.headers.get("range", "").strip())
    if asked is None:
        return Answer(content=everything, headers=headers)
    return _part(everything, int(asked[1]), int(asked[2]) if asked[2] else None, headers)


def _part(chunks: Iterator[bytes], begin: int, last: int | None, headers: dict[str, str]) -> Answer:
    end = min(begin + MOST_LOG_BYTES, begin + MOST_LOG_BYTES if last is None else last + 1)
    position, found = 0, bytearray()
    for chunk in chunks:
        found += chunk[max(0, begin - position) : max(0, end - position)]
        position += len(chunk)
        if position >= end:
            break
    if not found:
        refused = problem("malformed", f"the log has {position} bytes up to now, and the range begins at {begin}")
        raise _not_satisfiable(refused, position)
    said = {**headers, "content-range": f"bytes {begin}-{begin + len(found) - 1}/*"}
    return Answer(status=206, content=bytes(found), headers=said)


def _not_satisfiable(refused: Any, size: int) -> Any:
    refused.problem = msgspec.structs.replace(refused.problem, status=416, title="The range is not there")
    refused.headers["content-range"] = f"bytes */{size}"
    return refused
