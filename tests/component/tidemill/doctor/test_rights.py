"""The doctor checks exactly the needed rights: a role with only these can do everything."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from connectors.batch import Batch, week_of
from connectors.ledger import open_ledger
from connectors.statements import sql
from tests.support.read_model_rows import allow_writes
from tests.support.run_histories import histories, latest_by_run
from tidemill.cli import run
from tidemill.queries import rows
from tidemill.target import connect

GRANT = re.compile("(select|insert|update|delete|usage|create) on (.*)")
OWNERSHIP = re.compile(r"ownership of (the partitions of )?(tidemill\.\w+)")
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
def role(tables_dsn):
    """The connection string of a role with exactly the rights that the check lists."""
    name = "exact"
    password = psycopg.conninfo.conninfo_to_dict(tables_dsn)["password"]
    dsn = psycopg.conninfo.make_conninfo(tables_dsn, user=name, password=password)
    with psycopg.connect(tables_dsn, autocommit=True) as admin:
        admin.execute(f"create role {name} login password '{password}'")
        try:
            allow_writes(admin)
            for missing in missing_of(dsn):
                for statement in statements(admin, missing, name):
                    admin.execute(statement)
            assert missing_of(dsn) == []
            yield dsn
        finally:
            admin.execute(f"drop owned by {name} cascade")
            admin.execute(f"drop role {name}")


def missing_of(dsn):
    with connect(dsn) as postgres:
        return [each["missing"] for each in rows(postgres, "doctor_rights")]


def statements(admin, missing, role):
    if found := OWNERSHIP.fullmatch(missing):
        of_partitions, table = found.groups()
        query = "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass"
        children = [child for (child,) in admin.execute(query, (table,))] if of_partitions else [table]
        return [f"alter table {child} owner to {role}" for child in children]
    privilege, what = GRANT.fullmatch(missing).groups()
    return [f"grant {privilege} on {what} to {role}"]


@pytest.fixture
def tidemill(role, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", role)
    (tmp_path / "dag.yaml").write_text(DAG)

    def call(*arguments):
        code = run(arguments)
        assert code == 0, (arguments, capsys.readouterr().err)

    return call


def test_the_checked_rights_suffice_for_users(tidemill, role):
    with psycopg.connect(role, autocommit=True, options="-c tidemill.sink=on") as sink:
        sink.execute(RUNS)
    for command in COMMANDS:
        tidemill(*command)


def test_debezium_can_read_and_write_its_heartbeat(role):
    with psycopg.connect(role) as postgres:
        postgres.execute("select from tidemill.definitions, tidemill.requests")
        postgres.execute("update tidemill.heartbeat set at = clock_timestamp()")


def test_the_sink_can_write_and_the_times_to_live_can_prune(role, tables_dsn):
    history = list(histories(3, start=OLD))
    with open_ledger(role, {"status": "id"}) as ledger:
        ledger.load_offsets([("status", 0)])
        ledger.write(Batch(runs=[history[0]], problems=[], ends={("status", 0): 1}))
        over = list(latest_by_run(history).values())
        ledger.write(Batch(runs=over, problems=[problem()], ends={("status", 0): 2}))
    with psycopg.connect(tables_dsn) as admin:
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
