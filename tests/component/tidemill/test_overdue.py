"""Jobs and DAGs that are overdue, by the tables of users, triggers and the sink."""

from __future__ import annotations

from datetime import timedelta

import pytest
from psycopg.rows import dict_row

from schemas.times import EPOCH
from tests.support.dag_rows import settle
from tests.support.read_model_rows import allow_writes
from tidemill.overdue import read
from tidemill.overdue.watch import Watch
from tidemill.queries import now_of
from tidemill.target import connect

RUN = """insert into tidemill.runs (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, reason_code,
                                    attempt, missed_from, missed_to, missed_count, missed_at_least, version)
         values (%(run_id)s, %(job)s, 'default', 'scheduled', %(at)s, %(at)s, %(state)s, %(code)s,
                 0, %(first)s, %(last)s, %(count)s, false, 1)"""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def database(tables):
    tables.row_factory = dict_row
    tables.execute("alter table tidemill.definitions disable trigger user")
    now = now_of(tables)
    allow_writes(tables, [(now - DAY).date()])
    return tables


@pytest.fixture
def now(database):
    return now_of(database)


def put(database, job, schedule="@every 1h", age=DAY, **columns):
    """A job that was written some time ago."""
    columns = {"job_id": job, "executable": "s3://bucket/k", "schedule": schedule, **columns}
    names, places = ", ".join(columns), ", ".join(f"%({each})s" for each in columns)
    database.execute(f"insert into tidemill.jobs ({names}) values ({places})", columns)
    written_ago(database, job, age)


def change(database, job, age, **columns):
    sets = ", ".join(f"{each} = %({each})s" for each in columns)
    database.execute(f"update tidemill.jobs set {sets} where job_id = %(job)s", {**columns, "job": job})
    written_ago(database, job, age)


def written_ago(database, job, age):
    database.execute(
        "update tidemill.definitions set valid_from = clock_timestamp() - %s where (owner, version) = "
        "(select owner, max(version) from tidemill.definitions where owner = %s group by owner)",
        (age, job),
    )


def add_run(database, job, at, *, state="succeeded", code=None, first=None, last=None):
    run_id = f"{job}@{at.isoformat()}"
    database.execute(
        RUN,
        {
            "run_id": run_id, "job": job, "at": at, "state": state, "code": code, "first": first, "last": last,
            "count": 3 if first else None,
        },
    )  # fmt: skip


def judged(watch, database, until):
    left = watch.judge(database, until, EPOCH, lambda: True)
    assert left == 0
    return watch.overdue


def overdue(database, until, earliest=EPOCH):
    watch = Watch()
    watch.load(database)
    watch.judge(database, until, earliest, lambda: True)
    return watch.overdue


def last_hour(now):
    return now.replace(minute=0, second=0, microsecond=0)


def test_a_job_with_neither_a_run_nor_a_range_for_its_newest_occurrence_is_overdue(database, now):
    for job in ("silent", "ran", "skipped", "older", "requested"):
        put(database, job)
    put(database, "on-request", schedule=None)
    put(database, "paused", paused=True)
    put(database, "new", age=timedelta(0))
    due = last_hour(now)
    add_run(database, "ran", due)
    add_run(database, "skipped", due - 3 * HOUR, state="skipped", first=due - 3 * HOUR, last=due)
    add_run(database, "older", due - HOUR)
    add_run(database, "requested", due + timedelta(seconds=1))
    assert overdue(database, now) == {"silent": due, "older": due, "requested": due}


def test_a_dag_is_judged_as_a_job_is(database, now):
    database.execute("insert into tidemill.dags (dag_id, schedule) values ('etl', '@every 1h')")
    database.execute(
        "insert into tidemill.dag_nodes (dag_id, node_id, executable) values ('etl', 'a', 's3://bucket/k')"
    )
    settle(database)
    written_ago(database, "etl", DAY)
    assert overdue(database, now) == {"etl": last_hour(now)}
    add_run(database, "etl", last_hour(now), state="running")
    assert overdue(database, now) == {}


def test_an_edit_after_the_occurrence_does_not_hide_it_and_a_pause_or_a_deletion_does(database, now):
    for job in ("edited", "stopped", "gone"):
        put(database, job)
    change(database, "edited", timedelta(0), payload='{"x": 1}')
    change(database, "stopped", timedelta(0), paused=True)
    watch = Watch()
    watch.load(database)
    database.execute("delete from tidemill.jobs where job_id = 'gone'")
    assert judged(watch, database, now) == {"edited": last_hour(now)}
    assert len(watch) == 1


def test_a_job_that_has_made_all_its_runs_is_not_overdue(database, now):
    due = last_hour(now)
    for job in ("finished", "unfinished"):
        put(database, job, max_runs=2)
    add_run(database, "finished", due - 3 * HOUR, state="skipped", code="max_runs")
    add_run(database, "unfinished", due - 3 * HOUR)
    assert overdue(database, now) == {"unfinished": due}


def test_a_job_that_may_have_made_all_its_runs_before_the_kept_weeks_is_not_overdue(database, now):
    due, earliest = last_hour(now), now - timedelta(hours=12)
    for job in ("unknown", "lives"):
        put(database, job, max_runs=2)
    add_run(database, "lives", due - HOUR)
    assert overdue(database, now, earliest) == {"lives": due}


def test_an_occurrence_of_a_week_that_is_not_kept_whole_is_not_judged(database, now):
    put(database, "silent")
    assert overdue(database, now, now) == {}
    database.execute("update tidemill.weeks set reduced = 0 where week = (select max(week) from tidemill.weeks)")
    assert read.now(database).earliest > now


def test_a_job_is_no_longer_overdue_once_its_record_is_there_or_it_is_paused(database, now):
    for job in ("late", "paused-now"):
        put(database, job)
    watch = Watch()
    watch.load(database)
    assert set(judged(watch, database, now)) == {"late", "paused-now"}
    add_run(database, "late", last_hour(now))
    change(database, "paused-now", timedelta(0), paused=True)
    watch.refresh(database)
    assert judged(watch, database, now + timedelta(minutes=1)) == {}


def test_what_changes_later_is_read_also_from_a_transaction_that_was_open(tables_dsn):
    insert = "insert into tidemill.jobs (job_id, executable, schedule) values (%s, 's3://bucket/k', '@hourly')"
    watch = Watch()
    with connect(tables_dsn) as database, connect(tables_dsn) as slow:
        with slow.transaction():
            slow.execute(insert, ["slow"])
            watch.load(database)
            for number in range(3):
                database.execute(insert, [f"j{number}"])
                watch.refresh(database)
            assert len(watch) == 3
        watch.refresh(database)
        assert len(watch) == 4


def test_a_budget_that_is_spent_leaves_the_rest_to_the_next_round(database, now):
    for number in range(3):
        put(database, f"j{number}")
    watch = Watch()
    watch.load(database)
    assert watch.judge(database, now, EPOCH, lambda: False) == 0
    watch.load(database)
    assert set(watch.overdue) == {"j0", "j1", "j2"}
