"""Reads the input of `tidemill explain` from Postgres: runs, versions and problems."""

from __future__ import annotations

from datetime import datetime

import psycopg

from schemas.codec import decode
from schemas.dag import DagSpec
from schemas.ids import dag_run_of, occurrence_run_id
from schemas.job import JobSpec
from schemas.words import RunKind
from streams.core.dag.graph import job_of_node
from tidemill.explain.history import History, Moment, deleted_since, in_force, newest_spec, version_of
from tidemill.explain.reasons import InTheWay
from tidemill.explain.story import Seen
from tidemill.explain.why_no_run import Nothing
from tidemill.names import owner_row
from tidemill.queries import one, rows
from tidemill.target import NotFoundError, Row

MOST_VERSIONS = 1000
"""The most versions that are read, the newest ones; for jobs that change all the time."""


def read_history(postgres: psycopg.Connection[Row], owner: str) -> History:
    """The versions, also of a deleted job or DAG. Raises `NotFoundError`."""
    history = find_history(postgres, owner)
    if not history:
        owner_row(postgres, owner)
        raise NotFoundError(f"no version of {owner!r} is kept")
    return history


def find_history(postgres: psycopg.Connection[Row], owner: str) -> History:
    """The versions; empty if none is kept, although a run or a request may be."""
    found = rows(postgres, "explain_definitions", {"owner": owner, "most": MOST_VERSIONS})
    return [version_of(row) for row in reversed(found)]


def read_occurrence(
    postgres: psycopg.Connection[Row], owner: str, moment: Moment, history: History, now: datetime
) -> Seen | Nothing:
    """The run of that time, or the record of a range that contains it, or `Nothing`."""
    found = one(postgres, "run", {"run_id": occurrence_run_id(owner, moment.instant)})
    found = found or one(postgres, "explain_range", {"owner": owner, "at": moment.instant})
    if found:
        return read_run(postgres, found, history, now, moment.instant if found["missed_count"] else None)
    index = in_force(history, moment.instant)
    since = history[index].valid_from if index is not None else moment.instant
    beside = one(postgres, "explain_beside", {"owner": owner, "at": moment.instant, "since": since}) or {}
    return Nothing(
        owner=owner,
        moment=moment,
        now=now,
        history=history,
        problem=_with_times(beside.get("problem"), "at"),
        finished=_with_times(beside.get("finished"), "nominal_time"),
        week_is_kept=bool(beside.get("week_is_kept")),
    )


def read_run(
    postgres: psycopg.Connection[Row], run: Row, history: History, now: datetime, asked_at: datetime | None = None
) -> Seen:
    of_run = {"run_id": run["run_id"], "filed_on": run["filed_on"]}
    of_dag = {"run_id": dag_run_of(run["run_id"])}
    newest = newest_spec(history)
    is_of_dag = run["kind"] in {RunKind.DAG.value, RunKind.NODE.value} and not run["missed_count"]
    return Seen(
        run=run,
        now=now,
        timezone=newest.timezone if newest else "UTC",
        attempts=rows(postgres, "attempts", of_run),
        transitions=rows(postgres, "transitions", of_run),
        nodes=rows(postgres, "dag_run_nodes", of_dag) if is_of_dag else [],
        open_runs=_others(postgres, run) if run["state"] == "queued" else [],
        spec=_spec_of(postgres, run, history),
        in_the_way=_in_the_way(postgres, run, history),
        asked_at=asked_at,
    )


def _in_the_way(postgres: psycopg.Connection[Row], run: Row, history: History) -> InTheWay | None:
    named = run["blocked_by"]
    found = named and one(postgres, "run", {"run_id": named})
    return InTheWay(run=found, deleted_at=deleted_since(history, found["queued_at"])) if found else None


def _others(postgres: psycopg.Connection[Row], run: Row) -> list[Row]:
    found = rows(postgres, "open_runs", {"job_id": run["job_id"], "run_id": None})
    return [each for each in found if "/" not in each["run_id"]]


def _spec_of(postgres: psycopg.Connection[Row], run: Row, history: History) -> JobSpec | None:
    """The definition that the run uses, if it is kept."""
    if run["node_id"]:
        found = one(postgres, "explain_node", {"dag_run": dag_run_of(run["run_id"]), "node_id": run["node_id"]})
        dag = decode(found["spec"].encode(), DagSpec) if found else None
        return job_of_node(dag, dag.nodes[0]) if dag else None
    index = in_force(history, run["queued_at"] or run["nominal_time"])
    return history[index].spec if index is not None else None


def _with_times(row: Row | None, column: str) -> Row | None:
    """Parse the time of a JSON row."""
    return row and row | {column: datetime.fromisoformat(row[column])}
