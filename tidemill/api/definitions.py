"""What the routes of jobs and of DAGs share: the version as ETag, its preconditions, and the id in the path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from msgspec import UNSET
from psycopg.sql import SQL, Identifier

from tidemill import json_text, owners
from tidemill.api.problem import problem
from tidemill.api.route import Answer, Call
from tidemill.owners import Owner
from tidemill.target import Row
from tidemill.web.backend import Backend

ETAG = re.compile(r'(?:W/)?"(\d+)"')


def etag(version: int) -> str:
    return f'"{version}"'


def locked(postgres: psycopg.Connection[Row], owner: Owner, name: str) -> int | None:
    """The version of a job or DAG, whose row is locked until the end of the transaction; None: there is none."""
    query = SQL("select version from tidemill.{} where {} = %s for update").format(
        Identifier(owner.table), Identifier(owner.key)
    )
    row = postgres.execute(query, (name,)).fetchone()
    return None if row is None else int(row["version"])


def delete(owner: Owner, call: Call, backend: Backend) -> Answer:
    name = call.parts[owner.key]
    with backend.writing() as postgres, postgres.transaction():
        version = locked(postgres, owner, name)
        owner.found(postgres, name, None if version is None else {"version": version})
        check_version(call.headers, version)
        owners.change(postgres, owner, "delete", name)
    return Answer(status=204)


def check_named(owner: Owner, call: Call) -> None:
    """Raises `ProblemError` (422) if the body names another job or DAG than the path."""
    named, name = getattr(call.body, owner.key), call.parts[owner.key]
    if named is not UNSET and named != name:
        detail = f"{owner.key} is {named!r}, and the path names {name!r}"
        raise problem("invalid", detail, pointer=f"/{owner.key}")


def members_of(raw: bytes) -> dict[str, Any]:
    """The members of a body that is an object. Raises `ProblemError` (422) if it is nested too deep."""
    members = json_text.read(raw)
    if not isinstance(members, dict):
        raise problem("invalid", f"the body is nested more than {json_text.MAX_DEPTH} levels deep")
    return members


def check_precondition(headers: Mapping[str, str], version: int | None, job_id: str) -> None:
    """A PUT says which version it replaces, or that there must be none. Raises `ProblemError` (428, 412)."""
    if "if-none-match" in headers:
        if headers["if-none-match"].strip() != "*":
            raise problem("malformed", "If-None-Match takes only *: create it if there is none")
        if version is not None:
            raise problem("version-mismatch", f"{job_id!r} exists already, as version {version}", version=version)
        return
    if "if-match" not in headers:
        raise problem(
            "precondition-required",
            "PUT needs If-Match with the ETag of the version that it replaces, or If-None-Match: * to create",
        )
    if version is None:
        raise problem("version-mismatch", f"there is no {job_id!r} to replace; create it with If-None-Match: *")
    check_version(headers, version)


def check_version(headers: Mapping[str, str], version: int | None) -> None:
    """Raises `ProblemError` (412) if If-Match names another version."""
    said = headers.get("if-match")
    if said is None or said.strip() == "*":
        return
    named = [int(each) for each in ETAG.findall(said)]
    if not named:
        raise problem("malformed", f'If-Match is {said!r}; write an ETag such as "42", or *')
    if version not in named:
        raise problem("version-mismatch", f"it has version {version} now: read it again", version=version)
