"""Grafana's role reads the read model of a real Postgres, and writes nothing: its viewers may send any statement."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from infra import grafana_role


@pytest.fixture
def dsn(tables_dsn):
    grafana_role.make(tables_dsn)
    yield make_conninfo(tables_dsn, user=grafana_role.ROLE)
    with psycopg.connect(tables_dsn, autocommit=True) as admin:
        admin.execute("drop role grafana")


def test_the_role_reads_every_table_also_after_a_second_start(dsn, tables_dsn):
    assert grafana_role.make(tables_dsn) == []
    with psycopg.connect(dsn) as postgres:
        for table in ("runs", "jobs", "dags", "definitions", "problems"):
            assert postgres.execute(f"select count(*) from tidemill.{table}").fetchone() == (0,)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into tidemill.jobs (job_id, executable) values ('a', 's3://b/c')",
        "insert into tidemill.requests (request_id, job_id) values ('a', 'b')",
        "delete from tidemill.runs",
        "copy (select 1) to program 'true'",
        "alter role grafana superuser",
    ],
)
def test_the_role_writes_nothing_and_runs_nothing(dsn, statement):
    with psycopg.connect(dsn) as postgres, pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.execute(statement)
