"""A role with LOGIN and REPLICATION, without superuser rights, can do everything with its tables."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import psycopg
import pytest
from psycopg import conninfo, sql

from connectors.migrate import migrate, migrations

_numbers = count()
JOB = "insert into tidemill.jobs (job_id, schedule, executable) values (%s, '@daily', 's3://bucket/key')"
DAG = (
    "insert into tidemill.dags (dag_id, schedule) values ('etl', '@daily')",
    "insert into tidemill.dag_nodes (dag_id, node_id, executable) values ('etl', 'a', 's3://bucket/key')",
)


@pytest.fixture
def owner_dsn(postgres_server):
    """An empty database owned by a role with LOGIN and REPLICATION."""
    name, password = f"owner_{next(_numbers)}", "secret"
    with psycopg.connect(postgres_server("postgres"), autocommit=True) as admin:
        role = sql.Identifier(name)
        admin.execute(sql.SQL("create role {} login replication password {}").format(role, password))
        admin.execute(sql.SQL("create database {} owner {}").format(role, role))
    return conninfo.make_conninfo(postgres_server(name), user=name, password=password)


@pytest.fixture
def owner(owner_dsn):
    migrate(owner_dsn)
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        yield connection


def test_a_plain_owner_migrates(owner_dsn):
    assert migrate(owner_dsn) == [migration.name for migration in migrations()]
    assert migrate(owner_dsn) == []


def test_a_plain_owner_can_write_and_prune_internal_tables(owner):
    owner.execute(JOB, ["nightly"])
    with owner.transaction():
        for statement in DAG:
            owner.execute(statement)
    owner.execute("update tidemill.jobs set paused = true")
    owner.execute("insert into tidemill.requests (request_id, job_id) values ('r', 'nightly')")
    owner.execute("update tidemill.heartbeat set at = clock_timestamp()")
    assert owner.execute("select tidemill.prune_definitions(%s)", [timedelta(0)]).fetchone() == (1,)
    assert owner.execute("select tidemill.prune_requests(%s)", [timedelta(0)]).fetchone() == (1,)


def test_the_exception_for_internal_writers_ends_with_their_statement(owner):
    with owner.transaction():
        owner.execute("insert into tidemill.requests (request_id, job_id) values ('r', 'nightly')")
        owner.execute(JOB, ["nightly"])
        owner.execute("select tidemill.prune_requests('1 day'), tidemill.prune_definitions('1 day')")
        with (
            pytest.raises(psycopg.errors.CheckViolation, match="an accepted request never changes"),
            owner.transaction(),
        ):
            owner.execute("delete from tidemill.requests")
        with pytest.raises(psycopg.errors.CheckViolation, match="it is the history"), owner.transaction():
            owner.execute("delete from tidemill.definitions")
        owner.execute("delete from tidemill.jobs")
        for statement in DAG:
            owner.execute(statement)
        owner.execute("set constraints all immediate")
        with pytest.raises(psycopg.errors.CheckViolation, match="schedule"), owner.transaction():
            owner.execute("update tidemill.dags set schedule = 'never ever'")


def test_a_plain_owner_creates_and_drops_a_slot(owner):
    made = owner.execute("select pg_create_logical_replication_slot('of_the_owner', 'pgoutput')").fetchone()
    assert made is not None
    owner.execute("select pg_drop_replication_slot('of_the_owner')")
