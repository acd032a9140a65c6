"""Versions and deletions that a sink appends again, beside users who write the same jobs."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.dag_rows import put

JOB = """insert into tidemill.jobs (job_id, executable) values (%s, 's3://bucket/key')"""


@pytest.fixture
def database(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def user(tables_dsn):
    with psycopg.connect(tables_dsn) as connection:
        yield connection


def again(database, owner, version):
    return [each for (each,) in database.execute("select tidemill.append_again(%s, %s)", [[owner], [version]])]


def delete_again(database, owner, kind="job"):
    return [each for (each,) in database.execute("select tidemill.append_deletions(%s, %s)", [[owner], [kind]])]


def versions(database, owner):
    return database.execute(
        "select version, deleted from tidemill.definitions where owner = %s order by version", [owner]
    ).fetchall()


def test_a_job_gets_a_new_version_with_the_same_spec(database):
    database.execute(JOB, ["a"])
    (appended,) = again(database, "a", 1)
    assert versions(database, "a") == [(1, False), (appended, False)]
    (specs,) = database.execute("select count(distinct spec::text) from tidemill.definitions").fetchone()
    assert specs == 1
    assert database.execute("select version from tidemill.jobs").fetchone() == (appended,)
    database.execute("update tidemill.jobs set paused = true")
    assert versions(database, "a")[-1][0] > appended


def test_a_dag_gets_a_new_version_with_its_nodes(database):
    with database.transaction():
        put(database, {"one": [], "two": ["one"]}, "dag")
    ((before, _),) = versions(database, "dag")
    (appended,) = again(database, "dag", before)
    specs = database.execute("select spec::text from tidemill.definitions order by version").fetchall()
    assert len(specs) == 2
    assert specs[0] == specs[1]
    assert database.execute("select version from tidemill.dags").fetchone() == (appended,)


def test_a_job_that_has_changed_since_or_is_being_changed_is_skipped(database, user):
    database.execute(JOB, ["a"])
    assert again(database, "a", 7) == []
    user.execute("update tidemill.jobs set paused = true")
    assert again(database, "a", 1) == []
    user.commit()
    assert len(versions(database, "a")) == 2


def test_a_deletion_is_appended_only_if_the_job_does_not_exist_again(database):
    database.execute(JOB, ["a"])
    assert delete_again(database, "a") == []
    database.execute("delete from tidemill.jobs")
    (appended,) = delete_again(database, "a")
    assert versions(database, "a")[-1] == (appended, True)


def test_a_deletion_gives_way_to_a_user_who_writes_the_job_again(database, user):
    """Otherwise Postgres could cancel the user's transaction for a deadlock."""
    user.execute(JOB, ["a"])
    with pytest.raises(psycopg.errors.LockNotAvailable):
        delete_again(database, "a")
    user.commit()
    assert delete_again(database, "a") == []


def test_a_user_who_waits_for_the_deletion_gets_a_newer_version(database, tables_dsn):
    with psycopg.connect(tables_dsn) as healer:
        (appended,) = delete_again(healer, "a")
        healer.commit()
    database.execute(JOB, ["a"])
    assert versions(database, "a")[-1][0] > appended
