"""A file becomes the DAG's rows completely, and without a new version if nothing changed."""

from __future__ import annotations

import pytest

from tests.support.dag_rows import EXECUTABLE, settle, spec
from tidemill.dag_file import dag_of
from tidemill.dags import write
from tidemill.owners import DAG, change, resume_once
from tidemill.queries import rows
from tidemill.target import NotFoundError, connect

FILE = {
    "dag_id": "d",
    "schedule": "@daily",
    "starts_at": "2026-01-01T00:00:00Z",
    "nodes": {
        "b": {"executable": EXECUTABLE, "depends_on": ["a"], "timeout": "90s", "non_retryable_exit_codes": [3]},
        "a": {"executable": EXECUTABLE, "args": ["x"], "payload": {"n": [1]}, "retry_jitter": 0.5},
    },
}


@pytest.fixture
def database(tables_dsn):
    with connect(tables_dsn) as connection:
        yield connection


def put(database, file):
    with database.transaction():
        write(database, dag_of(file))
    return database.execute("select version from tidemill.dags").fetchone()["version"]


def test_a_file_becomes_rows_and_again_changes_nothing(database):
    first = put(database, FILE)
    assert put(database, FILE) == first
    assert [each["node_id"] for each in rows(database, "dag_nodes", {"dag_id": "d"})] == ["a", "b"]
    (listed,) = rows(database, "dags", {"tenant": None})
    assert (listed["dag_id"], listed["nodes"]) == ("d", 2)


def test_removed_entries_of_the_file_are_deleted_but_a_pause_stays(database):
    put(database, FILE)
    change(database, DAG, "pause", "d", note="wait")
    put(database, {"dag_id": "d", "nodes": {"a": {"executable": EXECUTABLE}}})
    dag = database.execute("select schedule, starts_at, paused, paused_note from tidemill.dags").fetchone()
    assert dag == {"schedule": None, "starts_at": None, "paused": True, "paused_note": "wait"}
    resume_once(database, DAG, "d", None)
    assert [each["node_id"] for each in rows(database, "dag_nodes", {"dag_id": "d"})] == ["a"]
    change(database, DAG, "delete", "d")
    assert rows(database, "dags", {"tenant": None}) == []


def test_what_is_said_for_one_pause_is_a_version_and_so_is_the_dags_own_word_again(database):
    put(database, FILE)
    change(database, DAG, "pause", "d", note=None)
    settle(database)
    resume_once(database, DAG, "d", "all")
    query = "select spec ->> 'catchup_after_pause' as said from tidemill.definitions order by version"
    assert [each["said"] for each in database.execute(query)] == ["skip", "skip", "all", "skip"]
    dag = database.execute("select paused, resumed_at from tidemill.dags").fetchone()
    assert not dag["paused"]
    assert dag["resumed_at"]
    with pytest.raises(NotFoundError, match="there is no DAG 'no-such'"):
        resume_once(database, DAG, "no-such", None)


def test_values_arrive_as_they_were_written(tables):
    write(tables, dag_of(FILE))
    settle(tables)
    a, b = spec(tables).nodes
    assert (a.args, bytes(a.payload), a.retry_jitter) == (("x",), b'{"n":[1]}', 0.5)
    assert (b.timeout.total_seconds(), b.non_retryable_exit_codes) == (90, (3,))
