"""Retention on a real Postgres and S3: what is deleted, what stays longer, what is archived before."""

from __future__ import annotations

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import orjson
import psycopg
import pytest

from connectors.archive import archive_week
from connectors.batch import week_of
from connectors.objects import Objects, ObjectsError
from connectors.retention import LOCK_KEY, prune
from connectors.settings import Archive, RetentionSettings
from connectors.stopping import Stop
from schemas.checkpoints import checkpoint_key
from schemas.log_chunks import chunk_key
from schemas.result import result_key
from tests.support.read_model_rows import add_story, allow_writes
from tests.support.waiting import eventually
from tidemill.retention import retention
from tidemill.target import connect

LONG = "\N{SNOWMAN}" * 200 + "@1"
"""A run id whose key in S3 is shortened."""
TODAY = datetime.now(UTC).date()  # noqa: TID251 - times to live go by the clock of Postgres
YOUNG, OLD, VERY_OLD = (week_of(TODAY - timedelta(days=days)) for days in (3, 45, 105))
WEEK = timedelta(days=7)
WITHOUT_ARCHIVE = RetentionSettings()
WITH_ARCHIVE = RetentionSettings(archive=Archive.JSONL)
NOBODY_LISTENS = "http://127.0.0.1:1"


@pytest.fixture
def postgres(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True, options="-c TimeZone=UTC") as connection:
        yield connection


@pytest.fixture
def add(postgres, place, store):
    """Adds a run with one attempt and one transition on a day, with `logs` log objects in S3."""

    def make(day, name, state="succeeded", *, logs=0, at=None, output="hello", said_where=True):
        allow_writes(postgres, [day])
        nominal = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        at = at or nominal
        postgres.execute(
            """insert into tidemill.runs (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt,
                   queued_at, finished_at, version, filed_on)
               values (%s, 'j', 'default', 'scheduled', %s, %s, %s, 1, %s, %s, 7, %s)""",
            (name, nominal, nominal, state, at, at, day),
        )
        uri = f"s3://{place.s3_bucket}/{chunk_key(name, 1, 0).rpartition('/')[0]}/" if logs and said_where else None
        attempt = {"attempt": 1, "token": 1, "dispatched_at": at, "started_at": at, "output": output, "log_uri": uri}
        attempt |= {"peak_memory": 2**40, "cpu_seconds": 0.25}
        add_story(postgres, name, attempts=[attempt], transitions=[{"version": 7, "at": at, "state": state}])
        written(postgres, day, at)
        for chunk in range(logs):
            store.put(chunk_key(name, 1, chunk), b"a log\n")

    return make


def written(postgres, day, at):
    """Records a write to the week, as the sink does before it writes."""
    postgres.execute(
        """update tidemill.weeks set written = written + 1, last_at = greatest(last_at, %s)
           where week = tidemill.week_of(%s)""",
        (at, day),
    )


def due(postgres, history="30 d", failed_history="90 d"):
    """Each week past its retention, with the mark for `prune_week` and the reason that keeps it."""
    found = postgres.execute("select * from tidemill.weeks_to_prune(%s, %s)", (history, failed_history))
    return {week: (keep_failures, mark, reason) for week, keep_failures, mark, reason in found}


def pruned(postgres, day, keep_failures, mark):
    """The reason that keeps the week; None: it was pruned."""
    return postgres.execute("select tidemill.prune_week(%s, %s, %s)", (day, keep_failures, mark)).fetchone()[0]


def names(postgres, table="runs"):
    return {row[0] for row in postgres.execute(f"select run_id from tidemill.{table}")}


def partitions(postgres):
    return {row[0] for row in postgres.execute("select child from tidemill.week_partitions()")}


def objects(store, place, prefix):
    return list(store.below(f"s3://{place.s3_bucket}/{prefix}"))


def test_a_week_is_first_reduced_to_its_failures_and_then_dropped(place, postgres, add):
    for day, name in ((YOUNG, "young"), (OLD, "old"), (VERY_OLD, "very-old")):
        for state in ("succeeded", "skipped", "failed", "timed_out", "dead"):
            add(day, f"{name}.{state}", state)
    add(OLD - WEEK, "a-week-without-failures")
    done = prune(place, WITHOUT_ARCHIVE, Stop())
    assert done.weeks == [str(VERY_OLD), str(OLD - WEEK), str(OLD)]
    kept = {f"young.{state}" for state in ("succeeded", "skipped", "failed", "timed_out", "dead")}
    kept |= {f"old.{state}" for state in ("failed", "timed_out", "dead")}
    for table in ("runs", "attempts", "transitions"):
        assert names(postgres, table) == kept
    weeks = {name.rpartition("_")[2] for name in partitions(postgres)}
    ahead = [week_of(TODAY) + each * WEEK for each in range(3)]
    assert weeks == {f"{week:%Y%m%d}" for week in (OLD - WEEK, OLD, YOUNG, *ahead)}
    assert prune(place, WITHOUT_ARCHIVE, Stop()).weeks == []
    add(OLD, "written-late")
    assert prune(place, WITHOUT_ARCHIVE, Stop()).weeks == [str(OLD)]
    assert names(postgres) == kept


def test_open_and_recent_runs_keep_their_week(place, postgres, add):
    add(VERY_OLD, "open", "retry_wait")
    add(VERY_OLD, "open-too", "queued")
    add(VERY_OLD, "beside-it")
    add(OLD, "backfilled", at=datetime.now(UTC) - timedelta(days=1))  # noqa: TID251 - as above
    done = prune(place, WITHOUT_ARCHIVE, Stop())
    said = f"the week of {VERY_OLD} is not pruned: run open is retry_wait, and 1 more of that week is open"
    assert (done.weeks, done.left) == ([], [said])
    assert names(postgres) == {"open", "open-too", "beside-it", "backfilled"}
    with connect(place.postgres_dsn) as asking:
        assert retention(asking).failure == said


@pytest.mark.parametrize(("state", "is_said"), [("running", "run first is running"), ("failed", "was written to")])
def test_a_run_that_changed_since_its_week_was_due_keeps_the_week(postgres, add, state, is_said):
    add(VERY_OLD, "first")
    keep_failures, mark, _ = due(postgres)[VERY_OLD]
    written(postgres, VERY_OLD, None)
    postgres.execute("update tidemill.runs set state = %s, finished_at = now(), version = 8", [state])
    assert is_said in pruned(postgres, VERY_OLD, keep_failures, mark)
    assert names(postgres) == {"first"}


def test_a_run_opened_while_its_week_is_being_dropped_keeps_the_week(postgres, tables_dsn, add):
    add(VERY_OLD, "first")
    keep_failures, mark, _ = due(postgres)[VERY_OLD]
    with psycopg.connect(tables_dsn, options="-c tidemill.sink=on") as sink, ThreadPoolExecutor(1) as pool:
        written(sink, VERY_OLD, None)
        sink.execute("update tidemill.runs set state = 'queued', version = 8")
        said = pool.submit(pruned, postgres, VERY_OLD, keep_failures, mark)
        eventually(lambda: waiting(sink, postgres.info.backend_pid))
        sink.commit()
        assert "run first is queued" in said.result()
    assert names(postgres) == {"first"}


def waiting(connection, pid):
    """Whether the session waits for a lock."""
    return connection.execute("select cardinality(pg_blocking_pids(%s)) > 0", (pid,)).fetchone()[0]


def test_a_transaction_with_an_older_snapshot_does_not_drop_a_week(postgres, add):
    add(VERY_OLD, "first")
    with postgres.transaction():
        postgres.execute("set transaction isolation level repeatable read")
        assert "can only be pruned in a transaction of isolation level read committed" in pruned(
            postgres, VERY_OLD, *due(postgres)[VERY_OLD][:2]
        )
    assert names(postgres) == {"first"}


def test_manual_pruning_follows_the_same_rules(postgres, tables_dsn, add):
    add(YOUNG, "young")
    add(OLD, "old", "failed")
    add(OLD - WEEK, "old-too")
    add(VERY_OLD, "open", "running")
    add(VERY_OLD + WEEK, "with-a-log", logs=1)
    by_hand = "select week, reason from tidemill.prune(%s) order by week"
    found = postgres.execute(by_hand, ("35 days",)).fetchall()
    assert found == [
        (VERY_OLD, f"the week of {VERY_OLD} is not pruned: run open is running"),
        (VERY_OLD + WEEK, f"the week of {VERY_OLD + WEEK} still has logs in S3"),
        (OLD - WEEK, None),
        (OLD, None),
    ]
    assert names(postgres) == {"young", "open", "with-a-log"}
    for duration in ("-1 day", None):
        with pytest.raises(
            psycopg.errors.CheckViolation, match=r"older_than is .*: it must be a duration such as 90 d"
        ):
            postgres.execute(by_hand, (duration,))
    with psycopg.connect(tables_dsn) as sink:
        sink.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
        with pytest.raises(psycopg.errors.LockNotAvailable, match="a sink is pruning now"):
            postgres.execute(by_hand, ("0",))


def test_nodes_are_deleted_with_their_dag_run_and_logs_before_them(place, postgres, store, add):
    for whole, state in (("d#cancelled", "cancelled"), ("d#failed", "failed")):
        add(OLD, whole, state)
        for node_id in ("failed", "succeeded"):
            add(OLD, f"{whole}/{node_id}", node_id, logs=1)
    postgres.execute("update tidemill.runs set dag_id = 'd', node_id = nullif(split_part(run_id, '/', 2), '')")
    done = prune(place, RetentionSettings(failed_log_ttl=timedelta(days=60)), Stop())
    assert (done.weeks, done.logs, done.left) == ([str(OLD)], 3, [])
    for table in ("runs", "attempts", "transitions"):
        assert names(postgres, table) == {"d#failed", "d#failed/failed"}
    assert prune(place, WITHOUT_ARCHIVE, Stop()).weeks == []


def test_logs_are_deleted_before_their_runs_and_logs_of_failures_later(place, postgres, store, add):
    recent, week, month = (TODAY - timedelta(days=days) for days in (2, 9, 35))
    add(recent, "young", logs=1)
    add(week, "job@1", logs=3)
    add(week, "job@10", "failed", logs=2)
    add(month, "job@2", "failed", logs=1)
    add(week, "lost", "dead", logs=1, output=None, said_where=False)
    add(month, "lost@2", "dead", logs=1, output=None, said_where=False)
    assert prune(place, WITHOUT_ARCHIVE, Stop()).logs == 3
    left = {uri.split("/")[4] for uri in objects(store, place, "logs")}
    assert left == {"young", "job%4010", "lost"}
    query = "select run_id, peak_memory, cpu_seconds from tidemill.attempts where log_deleted_at is not null"
    gone = postgres.execute(query).fetchall()
    assert set(gone) == {(name, 2**40, 0.25) for name in ("job@1", "job@2", "lost@2")}
    assert prune(place, WITHOUT_ARCHIVE, Stop()).logs == 0


def test_checkpoints_of_ended_runs_are_deleted(place, postgres, store, add):
    add(YOUNG, "job@1")
    add(YOUNG, "job@1#open", "retry_wait")
    add(YOUNG, "job#run/again", "failed")
    add(YOUNG, LONG)
    kept = [
        checkpoint_key(f"{LONG}/other", 1),
        checkpoint_key("job@1#open", 1),
        checkpoint_key("job#run/again", 2),
        checkpoint_key("not known yet", 1),
    ]
    kept += ["checkpoints/job%401/1.tar-half-written", "checkpoints/what-is-this"]
    ended = [("job@1", 0), ("job@1", 1), ("job#run/again", 1), (LONG, 1)]
    for key in (*(checkpoint_key(*each) for each in ended), *kept):
        store.put(key, b"a checkpoint")
    done = prune(place, WITHOUT_ARCHIVE, Stop())
    assert (done.checkpoints, done.left) == (4, [])
    assert objects(store, place, "checkpoints") == sorted(f"s3://{place.s3_bucket}/{key}" for key in kept)


def test_old_results_of_runs_without_rows_are_deleted(place, store, add):
    add(YOUNG, "dag@1/kept", "failed")
    add(YOUNG, "dag@1/a b")
    add(YOUNG, LONG, "failed")
    keys = [result_key(run_id, 7) for run_id in ("dag@1/kept", LONG, "dag@1/a b", "dag@1/nobody", f"{LONG}/nobody")]
    for key in keys:
        store.put(key, b"{}")
    assert prune(place, WITHOUT_ARCHIVE, Stop()).results == 0
    done = prune(place, RetentionSettings(history_ttl=timedelta(0)), Stop())
    assert (done.weeks, done.results, done.left) == ([str(YOUNG)], 3, [])
    assert objects(store, place, "results") == sorted(f"s3://{place.s3_bucket}/{key}" for key in keys[:2])


def test_objects_that_s3_does_not_delete_are_reported_and_the_others_are_deleted(
    place, postgres, store, add, monkeypatch
):
    day = TODAY - timedelta(days=9)
    for name in ("job@1", "job@2", "job@3"):
        add(day, name, logs=2)
    stuck = f"s3://{place.s3_bucket}/{chunk_key('job@2', 1, 1)}"
    delete = Objects.delete

    def refuse(self, uris):
        asked = set(uris)
        return delete(self, sorted(asked - {stuck})) | dict.fromkeys(asked & {stuck}, "AccessDenied: locked")

    monkeypatch.setattr(Objects, "delete", refuse)
    done = prune(place, WITHOUT_ARCHIVE, Stop())
    assert (done.logs, done.left) == (2, [f"S3 does not delete {stuck}: AccessDenied: locked"])
    assert objects(store, place, "logs") == [stuck]
    monkeypatch.undo()
    assert prune(place, WITHOUT_ARCHIVE, Stop()).logs == 1
    assert objects(store, place, "logs") == []


def test_exactly_the_deleted_rows_are_archived_and_a_second_archive_is_equal(place, postgres, store, add):
    for number in range(50):
        add(OLD, f"run-{number}", "failed" if number % 10 == 0 else "succeeded")
    for _ in range(2):
        archive_week(postgres, store, "archive/", OLD, keep_failures=True)
        found = objects(store, place, "archive")
        assert len(found) == 3
    assert prune(place, WITH_ARCHIVE, Stop()).weeks == [str(OLD)]
    assert objects(store, place, "archive") == found
    lines = {uri.split("/")[4]: gzip.decompress(store.read(uri)).splitlines() for uri in found}
    assert set(lines) == {"runs", "attempts", "transitions"}
    for table, rows in lines.items():
        archived = {orjson.loads(row)["run_id"] for row in rows}
        assert len(rows) == 45
        assert archived | names(postgres, table) == {f"run-{number}" for number in range(50)}
    prune(place, RetentionSettings(archive=Archive.JSONL, failed_history_ttl=timedelta(days=31)), Stop())
    assert names(postgres) == set()
    assert len(objects(store, place, "archive")) == 6


def test_rows_written_after_the_archive_are_kept(place, postgres, store, add):
    add(OLD, "first")
    _, mark, _ = due(postgres)[OLD]
    archive_week(postgres, store, "archive/", OLD, keep_failures=True)
    add(OLD, "second")
    assert "was written to after it was found due" in pruned(postgres, OLD, keep_failures=True, mark=mark)
    assert names(postgres) == {"first", "second"}


def test_without_s3_retention_does_the_rest_and_records_the_reason(place, postgres, add):
    add(OLD, "with-a-log", logs=1)
    postgres.execute("update tidemill.heartbeat set at = clock_timestamp()")
    postgres.execute(
        """insert into tidemill.requests (request_id, job_id, created_at) values ('r', 'j', now() - interval '8 d')"""
    )
    away = place.model_copy(update={"s3_endpoint": NOBODY_LISTENS})
    with pytest.raises(ObjectsError):
        prune(away, WITHOUT_ARCHIVE, Stop())
    assert names(postgres) == {"with-a-log"}
    assert postgres.execute("select count(*) from tidemill.requests").fetchone() == (0,)
    (failure, finished_at) = postgres.execute("select failure, finished_at from tidemill.retention").fetchone()
    assert NOBODY_LISTENS in failure
    assert finished_at is None
    assert prune(place, WITHOUT_ARCHIVE, Stop()).weeks == [str(OLD)]
    assert postgres.execute("select failure from tidemill.retention where finished_at is not null").fetchone() == (
        None,
    )


def test_an_invalid_log_uri_is_ignored_and_does_not_block_pruning(place, postgres, store, add):
    add(OLD, "job@1", logs=1)
    add(OLD, "job@2", logs=1)
    store.put("executables/precious", b"a program")
    odd = f"s3://{place.s3_bucket}/executables"
    for name, uri in (("job@1", "nonsense:"), ("job@2", odd)):
        postgres.execute(
            """update tidemill.stories set attempts = array(
                   select row(attempt, token, timeout_class, dispatched_at, executor_id, claimed_at, started_at,
                       finished_at, ended_as, exit_code, reason, reason_code, sha256, output, 1, %s,
                       null, null, null)::tidemill.attempt
                   from unnest(attempts)) where run_id = %s""",
            (uri, name),
        )
    done = prune(place, WITHOUT_ARCHIVE, Stop())
    assert (done.logs, done.weeks, done.left) == (2, [str(OLD)], [])
    assert objects(store, place, "executables") == [f"{odd}/precious"]
    assert objects(store, place, "logs") == []


def test_a_week_with_logs_is_never_dropped(postgres, add):
    add(OLD, "with-a-log", logs=1)
    _, mark, _ = due(postgres)[OLD]
    assert "still has logs" in pruned(postgres, OLD, keep_failures=False, mark=mark)


def test_one_sink_prunes_at_a_time_and_yields_to_readers(place, postgres, tables_dsn, add):
    add(OLD, "old")
    postgres.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
    assert prune(place, WITHOUT_ARCHIVE, Stop()) is None
    postgres.execute("select pg_advisory_unlock(%s)", (LOCK_KEY,))
    with psycopg.connect(tables_dsn) as reader:
        reader.execute("select count(*) from tidemill.runs")  # its transaction stays open
        with pytest.raises(psycopg.errors.LockNotAvailable):
            prune(place, WITHOUT_ARCHIVE, Stop())
        assert names(postgres) == {"old"}
    assert prune(place, WITHOUT_ARCHIVE, Stop()).weeks == [str(OLD)]


def test_concurrent_sinks_prune_once(place, postgres, add):
    weeks = [OLD - each * WEEK for each in range(5)]
    for week in weeks:
        add(week, f"run-{week}")
    done = []
    threads = [threading.Thread(target=lambda: done.append(prune(place, WITHOUT_ARCHIVE, Stop()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(week for each in done if each for week in each.weeks) == sorted(map(str, weeks))
    assert names(postgres) == set()


def test_retention_settings_and_the_last_round_can_be_queried(place, add):
    with connect(place.postgres_dsn) as asking:
        before = retention(asking)
        assert (before.began_at, before.finished_at, before.next_at, before.failure) == (None, None, None, None)
        add(YOUNG, "young")
        prune(place, WITHOUT_ARCHIVE, Stop())
        known = retention(asking)
    assert (known.oldest_week, known.failure) == (YOUNG, None)
    assert known.next_at - known.began_at == WITHOUT_ARCHIVE.retention_interval
    assert known.finished_at >= known.began_at
