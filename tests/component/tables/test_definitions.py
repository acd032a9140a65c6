"""Each accepted change of a job appends one version, in commit order, that the core can decode."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import psycopg
import pytest

from schemas.codec import decode
from schemas.confinement import Network, Sandbox
from schemas.job import JobSpec
from schemas.words import CatchupPolicy, DstFold, DstGap, OnDelete, OverlapPolicy

INSERT = """insert into tidemill.jobs (job_id, executable) values (%s, 's3://tidemill/x')"""
UPSERT = INSERT + " on conflict (job_id) do update set executable = excluded.executable, paused = not jobs.paused"


def versions(tables, owner="j"):
    query = """select version, deleted, spec ->> 'schedule', valid_from from tidemill.definitions
               where owner = %s and kind = 'job' order by version"""
    return tables.execute(query, (owner,)).fetchall()


def spec(tables, owner="j"):
    query = "select spec::text from tidemill.definitions where owner = %s order by version desc limit 1"
    return decode(tables.execute(query, (owner,)).fetchone()[0].encode(), JobSpec)


def test_insert_update_and_delete_append_a_version_each(tables):
    tables.execute(INSERT, ("j",))
    tables.execute("update tidemill.jobs set schedule = '@daily'")
    tables.execute("delete from tidemill.jobs")
    found = versions(tables)
    assert [row[1:3] for row in found] == [(False, None), (False, "@daily"), (True, None)]
    assert [row[0] for row in found] == sorted({row[0] for row in found})


def test_a_row_has_its_own_version(tables):
    first = tables.execute(INSERT + " returning version, updated_at", ("j",)).fetchone()
    assert first[0] == versions(tables)[-1][0]
    second = tables.execute(
        "update tidemill.jobs set paused = true, version = 0 returning version, updated_at"
    ).fetchone()
    assert second[0] == versions(tables)[-1][0] > first[0]
    assert second[1] > first[1]


def test_an_update_that_changes_nothing_appends_nothing(tables):
    tables.execute(INSERT, ("j",))
    tables.execute("update tidemill.jobs set schedule = '0 3 * * *', timeout = '90 s'")
    before = tables.execute("select version, updated_at from tidemill.jobs").fetchone()
    tables.execute(
        "update tidemill.jobs set schedule = ' 0 3  * * * ', timeout = '1 min 30 s', version = 7, updated_at = now()"
    )
    tables.execute(INSERT + " on conflict (job_id) do update set executable = excluded.executable", ("j",))
    tables.execute(INSERT + " on conflict do nothing", ("j",))
    assert tables.execute("select version, updated_at from tidemill.jobs").fetchone() == before
    assert len(versions(tables)) == 2


def test_a_new_id_is_a_deletion_and_a_creation(tables):
    tables.execute(INSERT, ("j",))
    tables.execute("update tidemill.jobs set job_id = 'k'")
    assert [row[1] for row in versions(tables, "j")] == [False, True]
    assert [row[1] for row in versions(tables, "k")] == [False]
    assert spec(tables, "k").job_id == "k"


def test_a_version_is_valid_from_its_change_and_not_from_the_beginning_of_its_transaction(tables):
    began, moment = tables.execute("select now(), clock_timestamp()").fetchone()
    tables.execute(INSERT, ("j",))
    assert versions(tables)[0][3] >= moment > began


def test_the_defaults_of_the_jobs_table_equal_those_of_the_core(tables):
    tables.execute(INSERT, ("j",))
    assert spec(tables) == JobSpec(job_id="j", executable="s3://tidemill/x")


EVERY_COLUMN = {
    "job_id": "j",
    "executable": "s3://tidemill/x",
    "tenant": "t",
    "schedule": "@every 90s",
    "timezone": "Asia/Kathmandu",
    "sha256": "ab" * 32,
    "args": json.dumps(["a", ""]),
    "env": json.dumps({"A": "b"}),
    "payload": json.dumps({"a": None}),
    "timeout": "1 day 0.5 s",
    "timeout_class": "1h",
    "max_attempts": 3,
    "initial_interval": "0.25 s",
    "backoff_coefficient": 1.5,
    "max_interval": "1 h",
    "retry_jitter": 0.5,
    "non_retryable_exit_codes": [3, 4],
    "max_infra_retries": 2,
    "max_retry_duration": "2 h",
    "promote": False,
    "overlap_policy": "allow_all",
    "buffer_limit": 7,
    "concurrency_limit": 3,
    "cancel_grace": "5 s",
    "on_delete": "cancel",
    "catchup_policy": "all",
    "catchup_window": "7 days",
    "catchup_after_pause": "latest",
    "misfire_grace": "5 s",
    "start_deadline": "10 min",
    "jitter": "30 s",
    "dst_gap": "skip",
    "dst_fold": "second",
    "max_runs": 100,
    "pause_on_failure": 3,
    "resumed_at": "2026-02-01T00:00:00Z",
    "paused": True,
    "paused_note": "wait",
    "starts_at": "2026-01-01T00:00:00.0001+05:45",
    "ends_at": "2027-01-01T00:00:00Z",
    "sandbox": "strict",
    "memory": 512 * 1024 * 1024,
    "disk": 1 << 40,
    "cpu": 0.5,
    "pids": 100,
    "network": "any",
    "unveil": ["r:/srv/www", "rwx:/opt/a b/ü"],
}
EVERY_FIELD = JobSpec(
    job_id="j",
    executable="s3://tidemill/x",
    tenant="t",
    schedule="@every 90s",
    timezone="Asia/Kathmandu",
    sha256="ab" * 32,
    args=("a", ""),
    env={"A": "b"},
    payload=msgspec.Raw(b'{"a": null}'),
    timeout=timedelta(days=1, milliseconds=500),
    timeout_class="1h",
    max_attempts=3,
    initial_interval=timedelta(milliseconds=250),
    backoff_coefficient=1.5,
    max_interval=timedelta(hours=1),
    retry_jitter=0.5,
    non_retryable_exit_codes=(3, 4),
    max_infra_retries=2,
    max_retry_duration=timedelta(hours=2),
    promote=False,
    overlap_policy=OverlapPolicy.ALLOW_ALL,
    buffer_limit=7,
    concurrency_limit=3,
    cancel_grace=timedelta(seconds=5),
    on_delete=OnDelete.CANCEL,
    catchup_policy=CatchupPolicy.ALL,
    catchup_window=timedelta(days=7),
    catchup_after_pause=CatchupPolicy.LATEST,
    misfire_grace=timedelta(seconds=5),
    start_deadline=timedelta(minutes=10),
    jitter=timedelta(seconds=30),
    dst_gap=DstGap.SKIP,
    dst_fold=DstFold.SECOND,
    max_runs=100,
    pause_on_failure=3,
    resumed_at=datetime(2026, 2, 1, tzinfo=UTC),
    paused=True,
    paused_note="wait",
    starts_at=datetime(2025, 12, 31, 18, 15, 0, 1000, tzinfo=UTC),
    ends_at=datetime(2027, 1, 1, tzinfo=UTC),
    sandbox=Sandbox.STRICT,
    memory=512 * 1024 * 1024,
    disk=1 << 40,
    cpu=0.5,
    pids=100,
    network=Network.ANY,
    unveil=("r:/srv/www", "rwx:/opt/a b/ü"),
)


def test_every_column_reaches_the_core(tables):
    assert EVERY_COLUMN.keys() == set(JobSpec.__struct_fields__), "EVERY_COLUMN and EVERY_FIELD need the new one"
    columns = ", ".join(f'"{name}"' for name in EVERY_COLUMN)
    holes = ", ".join(["%s"] * len(EVERY_COLUMN))
    tables.execute(f"insert into tidemill.jobs ({columns}) values ({holes})", list(EVERY_COLUMN.values()))
    assert spec(tables) == EVERY_FIELD


@pytest.mark.parametrize(("said", "meant"), [("Allow", "allow_all"), ("Forbid", "skip"), ("Replace", "cancel_other")])
def test_kubernetes_names_are_accepted_for_three_policies(tables, said, meant):
    tables.execute(INSERT, ("j",))
    tables.execute("update tidemill.jobs set overlap_policy = %s", (said,))
    assert spec(tables).overlap_policy is OverlapPolicy(meant)


def test_the_columns_of_the_table_equal_the_fields_of_the_core(tables):
    query = "select attname from pg_attribute where attrelid = 'tidemill.jobs'::regclass and attnum > 0"
    columns = {row[0] for row in tables.execute(query)}
    assert columns == {*JobSpec.__struct_fields__, "version", "updated_at"}


def test_a_creation_that_waits_for_a_deletion_has_the_newer_version(tables_dsn):
    with (
        psycopg.connect(tables_dsn) as deleter,
        psycopg.connect(tables_dsn, autocommit=True) as creator,
        psycopg.connect(tables_dsn, autocommit=True) as watcher,
        ThreadPoolExecutor(1) as pool,
    ):
        creator.execute(INSERT, ("j",))
        deleter.execute("delete from tidemill.jobs")
        creating = pool.submit(creator.execute, INSERT, ("j",))
        _wait_until_blocked(watcher, creator.info.backend_pid)
        deleter.commit()
        creating.result(timeout=10)
        assert [row[1] for row in versions(watcher)] == [False, True, False]


@pytest.mark.parametrize("creation", [INSERT, UPSERT])
def test_a_creation_started_before_a_deletion_has_the_newer_version_too(tables_dsn, creation):
    with (
        psycopg.connect(tables_dsn) as deleter,
        psycopg.connect(tables_dsn, autocommit=True) as creator,
        psycopg.connect(tables_dsn, autocommit=True) as watcher,
        ThreadPoolExecutor(1) as pool,
    ):
        creator.execute(INSERT, ("j",))
        deleter.execute("update tidemill.jobs set paused = true")
        creating = pool.submit(creator.execute, creation, ("j",))
        _wait_until_blocked(watcher, creator.info.backend_pid)
        deleter.execute("delete from tidemill.jobs")
        deleter.commit()
        creating.result(timeout=10)
        found = versions(watcher)
        assert [row[1] for row in found] == [False, False, True, False]
        assert watcher.execute("select version, paused from tidemill.jobs").fetchone() == (found[-1][0], False)


def test_concurrent_writers_and_deleters_of_one_job_do_not_deadlock(tables_dsn):
    def write(statement):
        with psycopg.connect(tables_dsn, autocommit=True) as connection:
            for _ in range(200):
                connection.execute(statement, ("j",))

    delete, insert = "delete from tidemill.jobs where job_id = %s", INSERT + " on conflict do nothing"
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(write, [UPSERT, UPSERT, delete, delete, insert]))
    with psycopg.connect(tables_dsn) as connection:
        connection.execute(UPSERT, ("j",))
        newest = versions(connection)[-1]
        assert newest[1] is False
        assert connection.execute("select version from tidemill.jobs").fetchone()[0] == newest[0]
        changes = [deleted for _, deleted, _, _ in versions(connection)]
        assert changes[0] is False
        assert (True, True) not in pairwise(changes)


def _wait_until_blocked(watcher, pid):
    blocked = "select cardinality(pg_blocking_pids(%s)) > 0"
    while not watcher.execute(blocked, (pid,)).fetchone()[0]:
        pass


def test_concurrent_writers_leave_the_newest_version_in_the_row(tables_dsn):
    def write(_):
        with psycopg.connect(tables_dsn, autocommit=True) as connection:
            for _ in range(25):
                connection.execute(UPSERT, ("j",))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with psycopg.connect(tables_dsn) as connection:
        found = versions(connection)
        assert len(found) == 100
        assert connection.execute("select version from tidemill.jobs").fetchone()[0] == found[-1][0]
        assert [row[3] for row in found] == sorted(row[3] for row in found)


def test_pruning_keeps_versions_in_force_and_recent_deletions(tables):
    tables.execute(INSERT, ("j",))
    tables.execute("update tidemill.jobs set paused = true")
    tables.execute(INSERT, ("gone",))
    tables.execute("delete from tidemill.jobs where job_id = 'gone'")
    tables.execute("update tidemill.heartbeat set at = clock_timestamp()")
    assert tables.execute("select tidemill.prune_definitions('1 h')").fetchone()[0] == 0
    assert tables.execute("select tidemill.prune_definitions('0 s')").fetchone()[0] == 3
    assert len(versions(tables, "j")) == 1
    assert versions(tables, "gone") == []
    with pytest.raises(psycopg.errors.CheckViolation):
        tables.execute("delete from tidemill.definitions")
