"""DAG runs in the read model: their counts, their nodes by definition version, and pruning."""

from __future__ import annotations

import pytest
from psycopg.rows import dict_row

from connectors.batch import run_rows, to_json
from connectors.statements import sql
from schemas.ids import RunId
from schemas.status import RunStatus
from schemas.words import RunKind, RunState
from tests.support.dag_rows import put, put_nodes, settle
from tests.support.read_model_rows import allow_writes
from tidemill.dag_graph import critical_path
from tidemill.dag_runs import describe
from tidemill.queries import one, rows

FAILED, SUCCEEDED, RUNNING = RunState.FAILED, RunState.SUCCEEDED, RunState.RUNNING


@pytest.fixture
def database(tables):
    tables.row_factory = dict_row
    return tables


@pytest.fixture
def epoch(database):
    """Writes the DAG run `d#r` and its node runs, with the given states."""
    at = database.execute("select clock_timestamp() as at").fetchone()["at"]

    def status(run_id, state, **fields):
        return RunStatus(
            run_id=RunId(run_id),
            job_id="d",
            dag_id="d",
            tenant="default",
            nominal_time=at,
            scheduled_time=at,
            state=state,
            **fields,
        )

    def write(state, version=1, began_with=None, rerun_id=None, **nodes):
        now = database.execute("select clock_timestamp() as now").fetchone()["now"]
        times = {"queued_at": now, "started_at": now, "finished_at": now if state.is_final else None}
        mine = {"nodes": {state: len(nodes)}, "dag_version": began_with, "request_id": "r", "rerun_id": rerun_id}
        found = [status("d#r", state, kind=RunKind.DAG, version=version, **mine, **times)]
        for name, each in nodes.items():
            found.append(status(f"d#r/{name}", each, kind=RunKind.NODE, node_id=name, version=version, **times))
        allow_writes(database, [at.date()])
        database.execute(
            sql("write_runs"), {"rows": to_json(run_rows(found, {each.run_id: each.filed for each in found}))}
        )
        return at.date()

    return write


def seen(database):
    run = one(database, "dag_run", {"run_id": "d#r"})
    nodes = rows(database, "dag_run_nodes", {"run_id": "d#r"})
    return {each["node_id"]: each["state"] for each in describe(run, nodes, critical_path(nodes))}


def newest(database):
    return database.execute("select version from tidemill.dags").fetchone()["version"]


def test_a_dag_run_is_shown_with_its_first_version_or_the_newest_before_it_opens(database, epoch):
    put(database, {"a": [], "b": ["a"], "c": ["b"]})
    settle(database)
    began_with = newest(database)
    put_nodes(database, {"later": ["c"]})
    settle(database)
    epoch(RunState.QUEUED)
    assert seen(database).keys() == {"a", "b", "c", "later"}
    epoch(RUNNING, 2, began_with, a=SUCCEEDED, b=RUNNING)
    assert seen(database) == {"a": "succeeded", "b": "running", "c": "waiting"}
    database.execute("delete from tidemill.dags")
    settle(database)
    assert seen(database).keys() == {"a", "b", "c"}


def test_nodes_of_a_former_life_are_not_shown_for_waiting_ones(database, epoch):
    put(database, {"a": [], "b": ["a"]})
    settle(database)
    epoch(FAILED, 1, newest(database), a=SUCCEEDED, b=FAILED)
    epoch(RUNNING, 2, newest(database), "r", a=RUNNING)
    assert seen(database) == {"a": "running", "b": "waiting"}


def test_a_newer_record_replaces_the_counts(database, epoch):
    epoch(RUNNING, a=RUNNING)
    epoch(FAILED, version=2, a=FAILED)
    epoch(RUNNING, a=RUNNING)
    values = {"dag_id": "d", "states": None, "codes": None, "since": None, "limit": 5}
    (found,) = rows(database, "dag_runs", values)
    assert (found["run_id"], found["state"], found["nodes"]) == ("d#r", "failed", {"failed": 1})


def test_a_day_reduced_to_failures_keeps_failed_dag_runs(database, epoch):
    put(database, {"a": [], "b": ["a"]})
    settle(database)
    day = epoch(FAILED, a=SUCCEEDED, b=FAILED)
    prune = """select tidemill.prune_week(week, true, written) as why from tidemill.weeks
               where week = tidemill.week_of(%(day)s)"""
    assert database.execute(prune, {"day": day}).fetchone() == {"why": None}
    assert seen(database) == {"a": "not kept", "b": "failed"}
