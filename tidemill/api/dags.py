"""DAGs: rows of `tidemill.dags` and `tidemill.dag_nodes`; a body has the form of a DAG file."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
import psycopg
from msgspec import Meta

from schemas.reasons import ReasonCode
from schemas.words import RunState
from tidemill import owners
from tidemill.api import definitions
from tidemill.api.bodies import READ_ONLY
from tidemill.api.definitions import check_named, check_precondition, etag, locked, members_of
from tidemill.api.route import Answer, Call
from tidemill.dag_file import dag_of
from tidemill.dags import write
from tidemill.queries import one, rows
from tidemill.target import NotFoundError, Row
from tidemill.web.backend import Backend


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    tenant: str | None = None


class RunsQuery(msgspec.Struct, frozen=True, kw_only=True):
    state: tuple[RunState, ...] = ()
    reason: ReasonCode | None = None
    since: datetime | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class GridQuery(msgspec.Struct, frozen=True, kw_only=True):
    runs: Annotated[int, Meta(ge=1, le=100)] = 25


def list_dags(call: Call, backend: Backend) -> Answer:
    with backend.reading() as postgres:
        return Answer(body={"items": rows(postgres, "dags", {"tenant": call.query.tenant}), "next": None})


def get(call: Call, backend: Backend) -> Answer:
    with backend.reading() as postgres:
        return _dag(postgres, call.parts["dag_id"])


def _dag(postgres: psycopg.Connection[Row], dag_id: str, status: int = 200) -> Answer:
    dag = owners.DAG.found(postgres, dag_id, one(postgres, "dag", {"dag_id": dag_id}))
    nodes = {each["node_id"]: _own(each) for each in rows(postgres, "dag_nodes", {"dag_id": dag_id})}
    return Answer(status=status, body={**dag, "nodes": nodes}, headers={"etag": etag(dag["version"])})


def _own(node: Row) -> Row:
    return {name: value for name, value in node.items() if name not in {"dag_id", "node_id"}}


def put(call: Call, backend: Backend) -> Answer:
    """Create the DAG, or replace it with its nodes in one transaction."""
    dag_id = call.parts["dag_id"]
    check_named(owners.DAG, call)
    said = members_of(call.raw)
    file = dag_of({name: value for name, value in said.items() if name not in READ_ONLY} | {"dag_id": dag_id})
    with backend.writing() as postgres, postgres.transaction():
        version = locked(postgres, owners.DAG, dag_id)
        check_precondition(call.headers, version, dag_id)
        write(postgres, file)
        postgres.execute("set constraints all immediate")
        return _dag(postgres, dag_id, 201 if version is None else 200)


def delete(call: Call, backend: Backend) -> Answer:
    return definitions.delete(owners.DAG, call, backend)


def dag_runs(call: Call, backend: Backend) -> Answer:
    asked = call.query
    values = {
        "dag_id": call.parts["dag_id"],
        "states": [each.value for each in asked.state] or None,
        "codes": [asked.reason.value] if asked.reason else None,
        "since": asked.since,
        "limit": asked.limit,
    }
    with backend.reading() as postgres:
        owners.DAG.found(postgres, values["dag_id"], one(postgres, "dag", values))
        return Answer(body={"items": rows(postgres, "dag_runs", values), "next": None})


def grid(call: Call, backend: Backend) -> Answer:
    """The newest DAG runs, each with the states of its nodes."""
    dag_id = call.parts["dag_id"]
    values = {"dag_id": dag_id, "states": None, "codes": None, "since": None, "limit": call.query.runs}
    with backend.reading() as postgres:
        owners.DAG.found(postgres, dag_id, one(postgres, "dag", values))
        found = rows(postgres, "dag_runs", values)
        for run in found:
            nodes = rows(postgres, "dag_run_nodes", {"run_id": run["run_id"]})
            run["node_states"] = {each["node_id"]: each["state"] for each in nodes}
    return Answer(body={"items": found, "next": None})


def run_nodes(call: Call, backend: Backend) -> Answer:
    run_id = call.parts["run_id"]
    with backend.reading() as postgres:
        if one(postgres, "dag_run", {"run_id": run_id}) is None:
            raise NotFoundError(f"there is no DAG run {run_id!r}")
        return Answer(body={"items": rows(postgres, "dag_run_nodes", {"run_id": run_id})})
