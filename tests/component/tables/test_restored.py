"""The tables after a restore: it is recorded once, and repaired by versions above all applied ones."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.dag_rows import put

APPLIED = 1_000
"""The streams have applied versions up to here; the database has given fewer."""
JOB = """insert into tidemill.jobs (job_id, executable) values (%s, 's3://bucket/key')"""


@pytest.fixture
def database(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True) as connection:
        yield connection


def put_dag(database):
    with database.transaction():
        put(database, {"one": []}, "dag")


def value(database, query, *values):
    return database.execute(query, values).fetchone()[0]


def newest(database, owner):
    return database.execute(
        "select version, kind, deleted from tidemill.definitions where owner = %s order by version desc limit 1",
        [owner],
    ).fetchone()


def test_a_database_that_reuses_versions_is_recorded_once_as_a_problem(database):
    database.execute("set tidemill.sink = on")
    assert value(database, "select tidemill.note_restore(%s)", APPLIED) is True
    assert value(database, "select tidemill.note_restore(%s)", APPLIED) is False
    assert database.execute("select given, applied from tidemill.restored").fetchall() == [(1, APPLIED)]
    ((reason,),) = database.execute("select reason from tidemill.problems").fetchall()
    assert f"its last version is 1, and the streams have applied {APPLIED}" in reason


def test_a_database_that_is_not_behind_the_streams_is_not_restored(database):
    for number in range(3):
        database.execute(JOB, [f"job-{number}"])
    assert value(database, "select tidemill.note_restore(3)") is False
    assert value(database, "select count(*) from tidemill.restored") == 0


def test_every_job_and_dag_gets_a_version_above_all_applied_ones(database):
    for job in ("a", "b"):
        database.execute(JOB, [job])
    put_dag(database)
    database.execute("insert into tidemill.restored (given, applied) values (3, %s)", [APPLIED])
    assert database.execute("select jobs, dags from tidemill.write_anew(%s)", [APPLIED]).fetchone() == (2, 1)
    versions = {owner: newest(database, owner) for owner in ("a", "b", "dag")}
    assert {kind for _, kind, _ in versions.values()} == {"job", "dag"}
    assert all(version > APPLIED and not deleted for version, _, deleted in versions.values())
    kept = database.execute(
        "select job_id, version from tidemill.jobs union all select dag_id, version from tidemill.dags"
    ).fetchall()
    assert dict(kept) == {owner: version for owner, (version, _, _) in versions.items()}
    assert value(database, "select count(*) from tidemill.restored") == 0
    assert value(database, "select tidemill.note_restore(%s)", APPLIED) is False


def test_the_spec_is_kept_and_the_next_change_gets_the_next_version(database):
    database.execute(JOB, ["a"])
    before = value(database, "select spec from tidemill.definitions where owner = 'a'")
    database.execute("select tidemill.write_anew(%s)", [APPLIED])
    version, _, _ = newest(database, "a")
    assert (
        value(database, "select spec from tidemill.definitions where owner = 'a' and version = %s", version) == before
    )
    database.execute("update tidemill.jobs set paused = true where job_id = 'a'")
    assert newest(database, "a")[0] > version


def test_jobs_and_dags_that_only_the_streams_know_are_deleted(database):
    database.execute(JOB, ["kept"])
    put_dag(database)
    with database.transaction():
        database.execute("select tidemill.write_anew(%s)", [APPLIED])
        known = ["kept", "dag", "lost", "lost-dag"], ["job", "dag", "job", "dag"]
        assert value(database, "select tidemill.delete_unknown(%s, %s)", *known) == 2
    for owner, kind in (("lost", "job"), ("lost-dag", "dag")):
        version, found, deleted = newest(database, owner)
        assert version > APPLIED
        assert (found, deleted) == (kind, True)
    assert not newest(database, "kept")[2]


def test_no_other_role_can_append_to_the_history(database):
    database.execute("select tidemill.write_anew(%s)", [APPLIED])
    with pytest.raises(psycopg.errors.CheckViolation, match=r"INSERT into tidemill\.definitions is refused"):
        database.execute(
            "insert into tidemill.definitions (owner, kind, version, valid_from, deleted) "
            "values ('x', 'job', 1, now(), true)"
        )
