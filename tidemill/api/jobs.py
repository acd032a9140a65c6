"""Jobs: rows of `tidemill.jobs`, whose version is the ETag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import msgspec
import psycopg
from msgspec import UNSET, Meta
from psycopg.sql import SQL, Identifier

from schemas.job import JobSpec
from schemas.words import DefinitionKind
from tidemill import owners
from tidemill.api import definitions
from tidemill.api.bodies import READ_ONLY, NextBody
from tidemill.api.definitions import check_named, check_precondition, check_version, etag, locked, members_of
from tidemill.api.route import Answer, Call
from tidemill.explain.command import explain_owner
from tidemill.output import compact_json
from tidemill.queries import one, rows
from tidemill.target import NotFoundError, Row
from tidemill.time import Plan, plan_of, plan_of_expression, row_of, scheduled, upcoming
from tidemill.web.backend import Backend
from tidemill.web.versions import versions as told_versions

COLUMNS = tuple(each for each in JobSpec.__struct_fields__ if each != "job_id")
MERGED = frozenset({"env", "payload"})
"""Columns whose objects a merge patch changes member by member."""


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    tenant: str | None = None
    q: str | None = None
    """A part of the id."""
    cursor: str | None = None
    """`next` of the page before."""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class NextQuery(msgspec.Struct, frozen=True, kw_only=True):
    n: Annotated[int, Meta(ge=1, le=1000)] = 10
    after: datetime | None = None
    """Default: now."""


class ExplainQuery(msgspec.Struct, frozen=True, kw_only=True):
    at: str | None = None
    """A time, in the job's zone unless it has an offset. Default: the last and the next occurrence."""


class VersionsQuery(msgspec.Struct, frozen=True, kw_only=True):
    cursor: Annotated[int, Meta(ge=1)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


def list_jobs(call: Call, backend: Backend) -> Answer:
    asked: ListQuery = call.query
    values = {"tenant": asked.tenant, "search": asked.q, "after": asked.cursor, "limit": asked.limit + 1, "ends": 1}
    with backend.reading() as postgres:
        found = rows(postgres, "web_jobs", values)
    following = found[asked.limit - 1]["job_id"] if len(found) > asked.limit else None
    return Answer(body={"items": [_without_runs(each) for each in found[: asked.limit]], "next": following})


def _without_runs(job: Row) -> Row:
    ends = job.pop("runs")
    return job | {"last_run": ends[0]["run_id"] if ends else None, "last_state": ends[0]["state"] if ends else None}


def get(call: Call, backend: Backend) -> Answer:
    with backend.reading() as postgres:
        return _job(postgres, call.parts["job_id"])


def _job(postgres: psycopg.Connection[Row], job_id: str, status: int = 200) -> Answer:
    job = owners.JOB.found(postgres, job_id, one(postgres, "job", {"job_id": job_id}))
    return Answer(status=status, body=job, headers={"etag": etag(job["version"])})


def put(call: Call, backend: Backend) -> Answer:
    """Create the job, or replace it: a column that the body leaves out gets its default."""
    job_id, given = call.parts["job_id"], _given(call)
    with backend.writing() as postgres, postgres.transaction():
        version = locked(postgres, owners.JOB, job_id)
        check_precondition(call.headers, version, job_id)
        if version is None:
            _insert(postgres, job_id, given, call.raw)
            return _job(postgres, job_id, 201)
        _update(postgres, job_id, {name: name in given for name in COLUMNS}, call.raw)
        return _job(postgres, job_id)


def patch(call: Call, backend: Backend) -> Answer:
    """RFC 7396: members of the body replace the job's, objects are merged, null takes a value away."""
    job_id, given = call.parts["job_id"], _given(call)
    with backend.writing() as postgres, postgres.transaction():
        version = locked(postgres, owners.JOB, job_id)
        job = owners.JOB.found(postgres, job_id, one(postgres, "job", {"job_id": job_id}))
        check_version(call.headers, version)
        patched = merge({name: job[name] for name in MERGED}, members_of(call.raw))
        nulls = {name for name in given if patched.get(name) is None}
        raw = compact_json({name: patched[name] for name in given})
        if given:
            _update(postgres, job_id, {name: name not in nulls or _is_nullable(name) for name in given}, raw)
        return _job(postgres, job_id)


def delete(call: Call, backend: Backend) -> Answer:
    return definitions.delete(owners.JOB, call, backend)


def merge(job: Mapping[str, Any], patch_members: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396, except that a null stays as the top level's word for `no value`."""
    return dict(job) | {name: _merged(job.get(name), each) for name, each in patch_members.items()}


def _merged(value: Any, patch_value: Any) -> Any:
    if not isinstance(patch_value, dict):
        return patch_value
    base = dict(value) if isinstance(value, dict) else {}
    merged = {name: _merged(base.get(name), each) for name, each in patch_value.items()}
    return {name: each for name, each in (base | merged).items() if each is not None}


def _given(call: Call) -> tuple[str, ...]:
    """The columns that the body sets. Raises `ProblemError` if it is another job's."""
    check_named(owners.JOB, call)
    fields = [each for each in call.body.__struct_fields__ if getattr(call.body, each) is not UNSET]
    return tuple(each for each in fields if each not in {"job_id", *READ_ONLY})


def _insert(postgres: psycopg.Connection[Row], job_id: str, given: tuple[str, ...], raw: bytes) -> None:
    listed = [SQL(", {}").format(Identifier(name)) for name in given]
    values = [SQL(", said.{}").format(Identifier(name)) for name in given]
    statement = SQL(
        "insert into tidemill.jobs (job_id{}) select %(job_id)s{} "
        "from json_populate_record(null::tidemill.jobs, %(body)s::json) as said"
    ).format(SQL("").join(listed), SQL("").join(values))
    postgres.execute(statement, {"job_id": job_id, "body": raw.decode()})


def _update(postgres: psycopg.Connection[Row], job_id: str, is_said: Mapping[str, bool], raw: bytes) -> None:
    """`is_said`: whether the body has a column's value; otherwise it gets its default."""
    sets = [
        SQL("{0} = said.{0}" if said else "{0} = default").format(Identifier(name)) for name, said in is_said.items()
    ]
    statement = SQL(
        "update tidemill.jobs as job set {} from json_populate_record(null::tidemill.jobs, %(body)s::json) as said "
        "where job.job_id = %(job_id)s"
    ).format(SQL(", ").join(sets))
    postgres.execute(statement, {"job_id": job_id, "body": raw.decode()})


_NULLABLE = frozenset(
    each.name for each in msgspec.structs.fields(JobSpec) if each.default is None or each.name == "payload"
)


def _is_nullable(name: str) -> bool:
    return name in _NULLABLE


def next_of_job(call: Call, backend: Backend) -> Answer:
    with backend.reading() as postgres:
        job_id = call.parts["job_id"]
        row = owners.JOB.found(postgres, job_id, one(postgres, "job", {"job_id": job_id}))
    return _next(plan_of(scheduled(row, job_id)), call.query.after or call.now, call.query.n, is_paused=row["paused"])


def next_of_schedule(call: Call, _: Backend) -> Answer:
    said: NextBody = call.body
    plan = replace(plan_of_expression(said.schedule, said.timezone), starts_at=said.starts_at, ends_at=said.ends_at)
    return _next(plan, said.after or call.now, said.n, is_paused=False)


def _next(plan: Plan, after: datetime, number: int, *, is_paused: bool) -> Answer:
    items = [row_of(plan, each) for each in upcoming(plan, after, number)]
    return Answer(body={"items": items, "timezone": plan.timezone, "paused": is_paused})


def explain(call: Call, backend: Backend) -> Answer:
    with backend.reading() as postgres:
        told = explain_owner(postgres, call.parts["job_id"], call.query.at)
    return Answer(body={"items": [msgspec.to_builtins(each, builtin_types=(datetime,)) for each in told]})


def versions(call: Call, backend: Backend) -> Answer:
    """Each version with what it changed, the newest first."""
    job_id, asked = call.parts["job_id"], call.query
    values = {"owner": job_id, "kind": DefinitionKind.JOB.value, "before": asked.cursor, "limit": asked.limit + 1}
    with backend.reading() as postgres:
        found = rows(postgres, "web_versions", values)
        if not found:
            raise NotFoundError(f"no version of {job_id!r} is kept")
    told = told_versions(found)[: asked.limit]
    following = str(told[-1].number) if len(found) > asked.limit else None
    return Answer(
        body={"items": [msgspec.to_builtins(each, builtin_types=(datetime,)) for each in told], "next": following}
    )


def version(call: Call, backend: Backend) -> Answer:
    text, job_id = call.parts["version"], call.parts["job_id"]
    number = int(text) if text.isascii() and text.isdecimal() else 0
    values = {"owner": job_id, "kind": DefinitionKind.JOB.value, "before": number + 1, "limit": 1}
    with backend.reading() as postgres:
        found = rows(postgres, "web_versions", values)
    if not found or found[0]["version"] != number:
        raise NotFoundError(f"{job_id!r} has no version {text}, or it is not kept any more")
    return Answer(body=found[0])
