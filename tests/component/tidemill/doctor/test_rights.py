"""The roles of the deployment can do what the commands, the connector, the sink and its retention do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from connectors.batch import Batch, week_of
from connectors.ledger import open_ledger
from connectors.roles import DEFAULT_PREFIX
from connectors.statements import sql
from infra.process_roles import dsn_as
from tests.support.read_model_rows import allow_writes
from tests.support.run_histories import histories, latest_by_run
from tidemill.cli import run

OLD = datetime.now(UTC) - timedelta(days=200)  # noqa: TID251 - times to live go by the clock of Postgres
DAG = """
dag_id: etl
schedule: "@daily"
defaults: {executable: s3://bucket/key}
nodes: {a: {}, b: {depends_on: [a]}}
"""
RUNS = (
    "insert into tidemill.runs (run_id, job_id, dag_id, node_id, tenant, kind, nominal_time, scheduled_time, state,"
    " attempt, version) values ('j@1', 'j', null, null, 'default', 'scheduled', now(), now(), 'dead', 1, 1),"
    " ('etl#1', 'etl', 'etl', null, 'default', 'dag', now(), now(), 'failed', 0, 2),"
    " ('etl#1/a', 'etl', 'etl', 'a', 'default', 'node', now(), now(), 'failed', 1, 1)"
)
COMMANDS = (
    ("job", "put", "j", "--executable", "s3://bucket/key", "--schedule", "@daily", "--timezone", "Europe/Berlin"),
    ("job", "put", "j", "--timeout", "90s"),
    ("job", "pause", "j"),
    ("job", "resume", "j", "--catchup", "all"),
    ("dag", "put", "dag.yaml"),
    ("dag", "pause", "etl"),
    ("dag", "resume", "etl"),
    ("run", "j"),
    ("run", "etl"),
    ("cancel", "--job", "j"),
    ("rerun", "j@1"),
    ("rerun", "etl#1"),
    ("backfill", "j", "--from", "7d"),
    ("runs",),
    ("problems",),
    ("backfills",),
    ("job", "list"),
    ("dag", "list"),
    ("dag", "runs"),
    ("job", "show", "j"),
    ("dag", "show", "etl"),
    ("dag", "show", "etl#1"),
    ("show", "j@1"),
    ("explain", "j"),
    ("explain", "etl#1/a"),
    ("next", "etl"),
    ("job", "delete", "j"),
    ("dag", "delete", "etl"),
)


@pytest.fixture
def as_role(tables_dsn):
    """A function from a kind to the connection string of that role."""
    return lambda kind: dsn_as(tables_dsn, f"{DEFAULT_PREFIX}{kind}")


@pytest.fixture
def writer(tables_dsn, as_role):
    """Of a user who writes jobs of the tenant `default`."""
    name = "a_writer"
    dsn = dsn_as(tables_dsn, name)
    with psycopg.connect(tables_dsn, autocommit=True) as admin:
        allow_writes(admin)
        admin.execute(RUNS)
        password = psycopg.conninfo.conninfo_to_dict(dsn)["password"]
        admin.execute(f"create role {name} login password '{password}' in role {DEFAULT_PREFIX}writer")
        try:
            admin.execute("insert into tidemill.members (role, tenant, may) values (%s, 'default', 'write')", [name])
            yield dsn
        finally:
            admin.execute(f"drop role {name}")


@pytest.fixture
def tidemill(writer, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", writer)
    (tmp_path / "dag.yaml").write_text(DAG)

    def call(*arguments):
        code = run(arguments)
        assert code == 0, (arguments, capsys.readouterr().err)

    return call


def test_a_writer_may_use_every_command_for_its_tenant(tidemill):
    for command in COMMANDS:
        tidemill(*command)


def test_debezium_can_read_and_write_its_heartbeat(as_role):
    with psycopg.connect(as_role("connect")) as postgres:
        postgres.execute("select from tidemill.definitions, tidemill.requests")
        postgres.execute("update tidemill.heartbeat set at = clock_timestamp()")


def test_the_sink_can_write_and_the_times_to_live_can_prune(as_role, tables_dsn):
    role = as_role("sink")
    history = list(histories(3, start=OLD))
    with open_ledger(role, {"status": "id"}) as ledger:
        ledger.load_offsets([("status", 0)])
        ledger.write(Batch(runs=[history[0]], problems=[], ends={("status", 0): 1}))
        over = list(latest_by_run(history).values())
        ledger.write(Batch(runs=over, problems=[problem()], ends={("status", 0): 2}))
    with psycopg.connect(tables_dsn) as admin:
        admin.execute("insert into tidemill.jobs (job_id, executable) values ('j', 's3://bucket/key')")
        admin.execute("select tidemill.fence('j#1', 1)")
        admin.execute("update tidemill.fences set passed_at = %s", (OLD,))
    with psycopg.connect(role, autocommit=True, options="-c TimeZone=UTC -c tidemill.sink=on") as postgres:
        postgres.execute(sql("retention_began"), {"interval": timedelta(hours=1)})
        for statement in ("prune_requests", "prune_definitions", "prune_fences"):
            postgres.execute(sql(statement), {"older_than": timedelta(days=7)})
        for failures_kept, days in ((True, 365), (False, 90)):
            limits = {"history_ttl": timedelta(days=30), "failed_history_ttl": timedelta(days=days)}
            ((week, keep_failures, mark, _),) = postgres.execute(sql("weeks_to_prune"), limits).fetchall()
            assert (week, keep_failures) == (week_of(OLD.date()), failures_kept)
            values = {"week": week, "keep_failures": keep_failures, "mark": mark}
            assert postgres.execute(sql("prune_week"), values).fetchone() == (None,)
        assert postgres.execute(sql("weeks_to_prune"), limits).fetchall() == []
        postgres.execute(sql("retention_ended"), {"failure": None})


def problem():
    row = {"at": OLD, "partition": 1, "record_offset": 1, "topic_id": "t", "owner": "j", "reason": "r"}
    return row | {"kind": "dead_letter", "code": "status_refused"}
