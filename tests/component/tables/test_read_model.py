"""Requests, the partitions of the read model, pruning, and what the connector captures."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from connectors.statements import sql
from schemas.words import RunState
from tests.support.read_model_rows import add_story, allow_writes

DAY, MONDAY = date(2026, 3, 29), date(2026, 3, 23)
WEEK = timedelta(days=7)


def partitions(tables):
    query = """select relname from pg_class join pg_inherits on inhrelid = pg_class.oid
               where inhparent = 'tidemill.runs'::regclass order by 1"""
    return [row[0] for row in tables.execute(query)]


def add_run(tables, day, state="succeeded"):
    tables.execute(
        """insert into tidemill.runs
               (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, version, filed_on)
           values (%s, 'j', 'default', 'scheduled', now(), now(), %s, 1, 1, %s)""",
        (f"j@{day}", state, day),
    )


def test_a_request_is_placed_by_its_job_and_timed_by_the_database(tables):
    row = tables.execute(
        """insert into tidemill.requests (request_id, job_id, run_at, owner, created_at)
           values ('r', 'j', '2026-01-01T00:00:00.0001Z', 'somebody else', now() + interval '1 day')
           returning kind, owner, run_at, created_at <= clock_timestamp()"""
    ).fetchone()
    assert row == ("run", "j", datetime(2026, 1, 1, 0, 0, 0, 1000, tzinfo=UTC), True)


def test_a_repeated_request_is_a_conflict_or_ignored(tables):
    insert = "insert into tidemill.requests (request_id, job_id) values ('r', 'j')"
    tables.execute(insert)
    assert tables.execute(insert + " on conflict do nothing").rowcount == 0
    with pytest.raises(psycopg.errors.UniqueViolation):
        tables.execute(insert)


def test_pruning_keeps_future_and_uncaptured_requests(tables):
    tables.execute("update tidemill.heartbeat set at = now() - interval '2 days'")
    tables.execute(
        """insert into tidemill.requests (request_id, job_id, run_at, created_at) values
           ('old', 'j', null, now() - interval '8 days'), ('new', 'j', null, now()),
           ('later', 'j', now() + interval '1 day', now() - interval '8 days')"""
    )
    assert tables.execute("select tidemill.prune_requests('7 days')").fetchone()[0] == 0, "nobody captures"
    tables.execute("update tidemill.heartbeat set at = now()")
    assert tables.execute("select tidemill.prune_requests('7 days')").fetchone()[0] == 1
    kept = tables.execute("select request_id from tidemill.requests order by 1").fetchall()
    assert kept == [("later",), ("new",)]


def test_weeks_get_their_partitions_once_in_every_table(tables):
    tables.execute("set local tidemill.sink = 'on'")
    before = partitions(tables)
    for day in (DAY, DAY, DAY - timedelta(days=6), DAY + timedelta(days=1)):
        tables.execute("select tidemill.make_week(%s)", (day,))
    assert partitions(tables) == ["runs_20260323", "runs_20260330", *before]
    weeks = tables.execute("select week from tidemill.weeks order by 1 limit 2").fetchall()
    assert weeks == [(MONDAY,), (MONDAY + WEEK,)]
    add_run(tables, DAY)
    found = tables.execute("select relname from pg_class join tidemill.runs on runs.tableoid = pg_class.oid").fetchone()
    assert found == ("runs_20260323",)


def test_no_partition_is_created_far_ahead(tables):
    with pytest.raises(psycopg.errors.CheckViolation, match="it is more than 35 days in the future"):
        tables.execute("select tidemill.make_week('2999-01-01')")


def test_a_week_is_one_of_utc_whatever_the_sessions_time_zone(tables):
    tables.execute("set local timezone = 'Pacific/Apia'")
    tables.execute("set local tidemill.sink = 'on'")
    tables.execute("select tidemill.make_week(%s)", (DAY,))
    add_run(tables, DAY)
    problem = "insert into tidemill.problems values (%s, 1, 1, 't', 's', 1, 1, 'j', 'alert', 'run_dead', 'a reason')"
    tables.execute(problem, (datetime(2026, 3, 29, 23, 59, tzinfo=UTC),))
    with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
        tables.execute(problem, (datetime(2026, 3, 30, tzinfo=UTC),))


def test_creating_a_partition_does_not_wait_for_readers(tables_dsn):
    with psycopg.connect(tables_dsn) as reader, psycopg.connect(tables_dsn, autocommit=True) as sink:
        reader.execute("select count(*) from tidemill.runs")  # its transaction stays open
        sink.execute("set lock_timeout = '2s'")
        before = partitions(sink)
        sink.execute("select tidemill.make_week(%s)", (DAY,))
        assert partitions(sink) == ["runs_20260323", *before]


@pytest.mark.parametrize(
    "statement",
    [
        "update tidemill.runs set state = 'cancelled'",
        "delete from tidemill.runs",
        "truncate tidemill.runs",
        "insert into tidemill.problems values (now(), 1, 1, 't', 's', 1, 1, 'j', 'alert', 'run_dead', 'a reason')",
        "truncate tidemill.stories",
        "update tidemill.attempts set ended_as = 'lost'",
        "delete from tidemill.transitions",
    ],
)
def test_only_the_sink_changes_the_read_model_and_others_get_a_remedy(tables, statement):
    allow_writes(tables)
    add_run(tables, datetime.now(UTC).date())  # noqa: TID251 - there is a partition for today
    add_story(tables, f"j@{datetime.now(UTC).date()}", attempts=[{"attempt": 1}], transitions=[{"version": 1}])  # noqa: TID251
    tables.execute("select set_config('tidemill.sink', '', false)")
    with pytest.raises(psycopg.errors.CheckViolation, match=r"is refused: .*insert a row into tidemill.requests"):
        tables.execute(statement)


def test_a_run_is_written_to_all_of_its_columns(tables):
    query = "select column_name from information_schema.columns where (table_schema, table_name) = ('tidemill', 'runs')"
    columns = {name for (name,) in tables.execute(query)}
    written = set(re.findall(r"^    (\w+) = (?:excluded\.\1,?|case)$", sql("write_runs").decode(), re.MULTILINE))
    assert written == columns - {"run_id", "filed_on"}


def test_the_connector_captures_definitions_requests_and_the_heartbeat(tables):
    found = tables.execute(
        "select tablename from pg_publication_tables where pubname = 'tidemill' order by 1"
    ).fetchall()
    assert found == [("definitions",), ("heartbeat",), ("requests",)]
    flags = "select pubinsert, pubupdate, pubdelete, pubtruncate from pg_publication where pubname = 'tidemill'"
    assert tables.execute(flags).fetchone() == (True, True, False, False)


def test_the_heartbeat_is_one_row_that_can_be_updated(tables):
    assert tables.execute("update tidemill.heartbeat set at = clock_timestamp()").rowcount == 1
    with pytest.raises(psycopg.errors.CheckViolation):
        tables.execute("insert into tidemill.heartbeat values (2, now())")


def test_the_enum_values_of_the_database_equal_those_of_the_streams(tables):
    for state in RunState:
        row = tables.execute("select tidemill.is_open(%s)", (state.value,)).fetchone()
        assert row == (not state.is_final,), state
