"""A database of an earlier release is migrated without loss, and readers and writers continue."""

from __future__ import annotations

import orjson
import psycopg
import pytest

from connectors.migrate import Migration, apply, migrate, migrations
from schemas.codec import decode_captured
from tests.support.release import NEVER_FILLED, dumped, folders, records_of, row_counts, sink
from tidemill.cli import run

CAPTURED = """
    select to_jsonb(each) || jsonb_build_object('__table', 'definitions', 'spec', spec::text)
    from tidemill.definitions as each
    union all
    select to_jsonb(each) || jsonb_build_object(
        '__table', 'requests', 'payload', payload::text, 'nodes', nodes::text, 'ran', ran::text)
    from tidemill.requests as each
"""
"""Rows as the connector writes them to `cdc`."""

ALL_OVER = """
    set tidemill.sink = on;
    update tidemill.runs set state = 'cancelled';
    update tidemill.stories set attempts = '{}';
    reset tidemill.sink
"""
"""A retention mark without open runs and without logs in S3."""


@pytest.fixture(params=folders(), ids=lambda folder: folder.name)
def folder(request):
    return request.param


@pytest.fixture
def counted(folder, empty_dsn):
    """Migrates the database; returns the number of rows by table before."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute((folder / "database.sql").read_bytes())
        before = row_counts(connection)
    released = (folder / "migrations.sha256").read_text().split()[1::2]
    assert migrate(empty_dsn) == [each.name for each in migrations() if each.name not in released]
    return before


@pytest.fixture
def upgraded(counted, empty_dsn):
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def said(upgraded, empty_dsn, monkeypatch, tmp_path, capsys):
    """A function that runs a command and returns its JSON."""
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", empty_dsn)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        assert run([*arguments, "--json"]) == 0
        return orjson.loads(capsys.readouterr().out)

    return call


def test_every_row_is_still_there(counted, upgraded):
    assert {name for name, count in counted.items() if not count} == NEVER_FILLED
    after = row_counts(upgraded)
    made = {"migrations": len(migrations()), "weeks": after["weeks"]}  # a migration makes the present weeks
    assert {name: after.get(name) for name in counted} == {**counted, **made}


def test_commands_show_what_was_written(said):
    assert {each["run_id"] for each in said("runs")} >= {"job#held", "weak#w", "dag#r", "job@2026-03-01T12:01:00Z"}
    assert {each["job_id"] for each in said("job", "list")} == {"job", "weak"}
    assert {each["dag_id"] for each in said("dag", "list")} == {"dag"}
    assert said("show", "weak#w")["state"] == "failed"


def test_the_sink_goes_on(folder, counted, upgraded, empty_dsn):
    before = dict(upgraded.execute("select run_id, version from tidemill.runs").fetchall())
    sink(empty_dsn, records_of(folder, "history.jsonl"))
    assert dict(upgraded.execute("select run_id, version from tidemill.runs").fetchall()) == before
    assert row_counts(upgraded)["problems"] == 2 * counted["problems"]
    assert upgraded.execute("select sum(next_offset) from tidemill.sink_offsets").fetchone()[0] > 0


def test_after_a_rollback_this_release_works_on_tables_to_which_the_next_one_has_added(
    folder, upgraded, empty_dsn, said
):
    tables = ("jobs", "dags", "dag_nodes", "requests", "runs", "problems")
    added = "".join(f"alter table tidemill.{each} add column of_tomorrow text default 'x';" for each in tables)
    apply(empty_dsn, [*migrations(), Migration(name="9999_later.sql", sql=added.encode())])
    upgraded.execute("insert into tidemill.jobs (job_id, executable) values ('new', 's3://tidemill/x')")
    upgraded.execute("insert into tidemill.requests (request_id, job_id) values ('r', 'new')")
    upgraded.execute("set tidemill.sink = on; delete from tidemill.runs; delete from tidemill.stories")
    sink(empty_dsn, records_of(folder, "history.jsonl"))
    assert {each["run_id"] for each in said("runs")} >= {"job#held", "weak#w", "dag#r"}
    assert {each["job_id"] for each in said("job", "list")} == {"job", "weak", "new"}


def test_old_history_is_pruned_and_the_schema_is_then_that_of_a_new_database(upgraded, empty_dsn, tables_dsn):
    upgraded.execute("update tidemill.heartbeat set at = clock_timestamp()")
    assert "open" in upgraded.execute("select reason from tidemill.prune('30 days')").fetchone()[0]
    upgraded.execute(ALL_OVER)
    assert upgraded.execute("select reason from tidemill.prune('30 days')").fetchall() == [(None,)]
    counts = row_counts(upgraded)
    assert (counts["runs"], counts["stories"], counts["problems"]) == (0, 0, 0)
    assert dumped(empty_dsn, "--schema-only") == dumped(tables_dsn, "--schema-only")


def test_what_is_captured_of_them_is_read_and_jobs_are_written(upgraded):
    upgraded.execute("insert into tidemill.jobs (job_id, executable) values ('new', 's3://tidemill/x')")
    upgraded.execute("update tidemill.jobs set paused = false where job_id = 'weak'")
    upgraded.execute("delete from tidemill.jobs where job_id = 'job'")
    rows = [decode_captured(orjson.dumps(row)) for (row,) in upgraded.execute(CAPTURED).fetchall()]
    assert {each.owner for each in rows} == {"job", "weak", "gone", "dag", "new"}
