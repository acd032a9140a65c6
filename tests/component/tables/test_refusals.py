"""A bad row is refused in the writer's transaction, with a sentence that names column, value and what is allowed."""

from __future__ import annotations

import json
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from tests.support.read_model_rows import allow_writes
from tests.support.request_cases import TRACEPARENT

GOOD = {"job_id": "nightly", "executable": "s3://tidemill/examples/hello.sh"}
BIG = "x" * 40_000
ANOTHER_TRACE = f"00-{'a' * 32}-{'b' * 16}-00"


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


JOBS = [
    ({"job_id": ""}, 'job_id is ""'),
    ({"job_id": None}, "job_id is null"),
    ({"job_id": "a@b"}, 'job_id is "a@b": an id has 1 to 200 characters, no control characters and none of @ # / ~'),
    ({"job_id": "a#b"}, 'job_id is "a#b"'),
    ({"job_id": "a/b"}, 'job_id is "a/b"'),
    ({"job_id": "a~b"}, 'job_id is "a~b"'),
    ({"job_id": "a\tb"}, "no control characters"),
    ({"job_id": "a\x85b"}, "no control characters"),
    ({"job_id": "a\u200bb"}, "no control characters"),
    ({"job_id": "x" * 201}, "(201 characters)"),
    ({"tenant": "a/b"}, 'tenant is "a/b"'),
    ({"schedule": "61 * * * *"}, 'schedule is "61 * * * *": minute "61" is out of range: write a number from 0 to 59'),
    ({"schedule": "30 2 31 2 *"}, "it never fires"),
    ({"schedule": ""}, "null means that only requests start runs"),
    ({"timezone": "Europe/berlin"}, 'timezone is "Europe/berlin": did you mean "Europe/Berlin"?'),
    ({"timezone": "Berlin"}, 'timezone is "Berlin": did you mean "Europe/Berlin"?'),
    ({"timezone": "new york"}, 'timezone is "new york": did you mean "America/New_York"?'),
    ({"timezone": "CEST"}, 'timezone is "CEST": A time zone is a name of the IANA database'),
    ({"timezone": "localtime"}, 'timezone is "localtime"'),
    ({"timezone": "posix/UTC"}, 'timezone is "posix/UTC"'),
    ({"timezone": "UTC+1"}, 'timezone is "UTC+1"'),
    ({"timezone": None}, "timezone is null"),
    ({"executable": None}, "executable is null: it must be s3://bucket/key"),
    ({"executable": "/bin/true"}, 'executable is "/bin/true": it must be s3://bucket/key'),
    ({"executable": "s3://ab/key"}, "a bucket has 3 to 63"),
    ({"executable": "s3://bucket/"}, "it must be s3://bucket/key"),
    ({"executable": "s3://Bucket/key"}, "it must be s3://bucket/key"),
    ({"executable": f"s3://{'b' * 64}/key"}, "it must be s3://bucket/key"),
    ({"sha256": "ABC"}, 'sha256 is "ABC": it must be 64 lower-case hexadecimal digits'),
    ({"sha256": "A" * 64}, "64 lower-case"),
    ({"args": {}}, "args is"),
    ({"args": ["a", 1]}, 'args is "["a", 1]": it must be a JSON array of strings'),
    ({"args": [BIG]}, "args has 40004 bytes as JSON: at most 32 KB"),
    ({"env": []}, "it must be a JSON object of strings"),
    ({"env": {"A": 1}}, "it must be a JSON object of strings"),
    ({"env": {"A": BIG}}, "at most 32 KB"),
    ({"env": {"1A": "x"}}, 'env is "1A": the name of a variable'),
    ({"env": {"": "x"}}, "the name of a variable"),
    ({"env": {"TIDEMILL_RUN_ID": "x"}}, "must not start with a digit or with TIDEMILL_"),
    ({"payload": "x" * 262_144}, "payload has 262146 bytes as JSON: at most 256 KB"),
    ({"payload": nested(201)}, "(403 characters): JSON is nested at most 200 levels deep"),
    ({"payload": ["\0"]}, "it contains \\u0000 or half of a surrogate pair (\\u escapes)"),
    ({"sandbox": "none"}, 'sandbox is "none": allowed are basic, strict'),
    ({"memory": 512}, 'memory is "512": allowed are bytes from 1048576 (1 MB) to 1125899906842624 (1 PB); pg_size'),
    ({"memory": -1}, 'memory is "-1": allowed are bytes'),
    ({"disk": 2**51}, 'disk is "2251799813685248": allowed are bytes'),
    ({"cpu": 0}, 'cpu is "0": allowed are numbers from 0.01 to 1024'),
    ({"cpu": "NaN"}, 'cpu is "NaN": allowed are numbers'),
    ({"pids": 0}, 'pids is "0": allowed are numbers from 1 to 4194304'),
    ({"network": "host"}, 'network is "host": allowed are any, none'),
    ({"unveil": None}, "unveil is null: it must be a list of at most 32 paths"),
    ({"unveil": [f"r:/{number}" for number in range(33)]}, "at most 32 paths"),
    ({"unveil": [["r:/a"], ["r:/b"]]}, "it must be a list of at most 32 paths"),
    ({"unveil": ["r:/a", "/srv"]}, 'unveil is "/srv": a path is r:, rw:, rx: or rwx: and an absolute path'),
    ({"unveil": ["r:/a", None]}, 'unveil is "null": a path is'),
    ({"unveil": ["w:/srv"]}, 'unveil is "w:/srv": a path is'),
    ({"unveil": ["r:srv"]}, 'unveil is "r:srv": a path is'),
    ({"unveil": ["r:/srv/../etc"]}, "without . and .."),
    ({"unveil": ["r:/srv/./etc"]}, "without . and .."),
    ({"unveil": ["r:/.."]}, "without . and .."),
    ({"unveil": ["r:/srv/"]}, "without / at its end"),
    ({"unveil": ["r://srv"]}, 'unveil is "r://srv": a path is'),
    ({"unveil": ["r:/a\nb"]}, "a path is"),
    ({"unveil": ["r:/" + "x" * 1000]}, "at most 1000 bytes"),
    ({"timeout": "0 s"}, 'timeout is "00:00:00": it must be longer than 0'),
    ({"timeout": "-1 s"}, 'timeout is "-00:00:01": it must be longer than 0'),
    ({"timeout": "1 month"}, 'timeout is "1 mon": a month or a year has no fixed length'),
    ({"timeout": "1 year"}, "a month or a year has no fixed length"),
    ({"timeout": "1.5 ms"}, "a duration must be a whole number of milliseconds"),
    ({"timeout": "367 days"}, "at most 366 days"),
    ({"timeout": "infinity"}, 'timeout is "infinity": it must be a duration'),
    (
        {"timeout_class": "1 hour"},
        'timeout_class is "1 hour": the timeout classes of this deployment are 10s, 1m, 1h; `tidemill cluster set',
    ),
    ({"timeout_class": "7h"}, 'timeout_class is "7h": the timeout classes of this deployment are 10s, 1m, 1h'),
    ({"max_attempts": 0}, 'max_attempts is "0": allowed are numbers from 1 to 1000'),
    ({"max_attempts": None}, "max_attempts is null"),
    ({"initial_interval": "0 s"}, "initial_interval is"),
    ({"backoff_coefficient": 0.5}, "backoff_coefficient is"),
    ({"backoff_coefficient": float("nan")}, 'backoff_coefficient is "NaN"'),
    ({"initial_interval": "2 min"}, 'max_interval is "00:01:00": it must not be shorter than initial_interval'),
    ({"retry_jitter": 1.1}, 'retry_jitter is "1.1": allowed are numbers from 0 to 1'),
    ({"non_retryable_exit_codes": [0]}, "a list of exit codes from 1 to 255"),
    ({"non_retryable_exit_codes": [256]}, "a list of exit codes from 1 to 255"),
    ({"max_infra_retries": -1}, 'max_infra_retries is "-1"'),
    ({"max_retry_duration": "0 s"}, 'max_retry_duration is "00:00:00": it must be longer than 0'),
    ({"promote": None}, "promote is null: allowed are true and false"),
    ({"overlap_policy": "queue"}, 'overlap_policy is "queue": allowed are skip, '),
    ({"buffer_limit": 0}, 'buffer_limit is "0": allowed are numbers from 1 to 10000'),
    ({"overlap_policy": "allow_all", "concurrency_limit": 0}, 'concurrency_limit is "0": allowed are numbers from 1'),
    ({"concurrency_limit": 2}, 'concurrency_limit is "2": it needs overlap_policy allow_all'),
    ({"cancel_grace": "-1 s"}, 'cancel_grace is "-00:00:01": it must be between 0 and 366 days'),
    ({"on_delete": "kill"}, 'on_delete is "kill": allowed are finish, cancel'),
    ({"catchup_policy": "Latest"}, 'catchup_policy is "Latest": allowed are skip, latest, all'),
    ({"catchup_window": "0 s"}, "catchup_window is"),
    ({"catchup_after_pause": "newest"}, 'catchup_after_pause is "newest": allowed are skip, latest, all'),
    ({"misfire_grace": "-1 s"}, "misfire_grace is"),
    ({"start_deadline": "0 s"}, 'start_deadline is "00:00:00": it must be longer than 0'),
    ({"jitter": "-1 s"}, 'jitter is "-00:00:01": it must be between 0 and 366 days'),
    ({"dst_gap": "jump"}, 'dst_gap is "jump": allowed are shift, skip'),
    ({"dst_fold": "twice"}, 'dst_fold is "twice": allowed are first, second, both'),
    ({"max_runs": 0}, 'max_runs is "0": allowed are numbers from 1 to 2147483647'),
    ({"pause_on_failure": 1001}, 'pause_on_failure is "1001": allowed are numbers from 1 to 1000'),
    ({"resumed_at": "infinity"}, 'resumed_at is "infinity"'),
    ({"paused": None}, "paused is null: allowed are true and false"),
    ({"paused_note": "x" * 1001}, "a note has at most 1000 characters"),
    ({"starts_at": "infinity"}, 'starts_at is "infinity": it must be a time from 1970 to 2199'),
    ({"ends_at": "1969-01-01T00:00:00Z"}, "it must be a time from 1970 to 2199"),
    ({"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "it must be later than starts_at"),
]

REQUESTS = [
    ({"run_at": "infinity"}, 'run_at is "infinity": it must be a time from 1970 to 2199'),
    ({"kind": "cancel", "run_id": "nightly@" + "x" * 17_000_000}, "(17000008 characters): a run id has at most 700"),
    ({"payload": nested(201)}, "(403 characters): JSON is nested at most 200 levels deep"),
    ({"payload": ["\ud800"]}, "half of a surrogate pair (\\u escapes)"),
]


def insert(tables, table, row):
    columns = sql.SQL(", ").join(map(sql.Identifier, row))
    holes = sql.SQL(", ").join(sql.Placeholder() * len(row))
    statement = sql.SQL("insert into tidemill.{} ({}) values ({})").format(sql.Identifier(table), columns, holes)
    tables.execute(statement, [_plain(column, value) for column, value in row.items()])


def _plain(column, value):
    return json.dumps(value) if column in {"args", "env", "payload"} else value


@contextmanager
def refused(fragment):
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        yield
    assert fragment in caught.value.diag.message_primary
    assert len(caught.value.diag.context.splitlines()) == 1  # psql shows the detail below the sentence


@pytest.mark.parametrize(("change", "fragment"), JOBS)
def test_an_invalid_job_is_refused(tables, change, fragment):
    with refused(fragment):
        insert(tables, "jobs", GOOD | change)


@pytest.mark.parametrize(("change", "fragment"), JOBS)
def test_a_change_to_an_invalid_job_is_refused(tables, change, fragment):
    insert(tables, "jobs", GOOD)
    assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in change)
    with refused(fragment):
        tables.execute(
            sql.SQL("update tidemill.jobs set {}").format(assignments),
            [_plain(column, value) for column, value in change.items()],
        )


@pytest.fixture
def ended_run(tables):
    """A run that failed at its second attempt, from a request with a payload; another run is running."""
    insert(tables, "requests", {"request_id": "r0", "job_id": "nightly", "payload": {"day": 1}})
    allow_writes(tables)
    tables.execute(
        """insert into tidemill.runs
        (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, request_id, version) values
        ('nightly#r0', 'nightly', 'default', 'requested', '2026-03-01', '2026-03-01', 'failed', 2, 'r0', 9),
        ('nightly#r1', 'nightly', 'default', 'requested', '2026-03-01', '2026-03-01', 'running', 1, 'r1', 9)"""
    )
    return "nightly#r0"


def test_an_ended_run_can_be_rerun(tables, ended_run):
    insert(tables, "requests", {"request_id": "again", "kind": "rerun", "run_id": ended_run})
    query = "select owner, job_id, nominal_time = '2026-03-01', attempt, payload from tidemill.requests"
    found = tables.execute(query + " where request_id = 'again'").fetchone()
    assert found == ("nightly", "nightly", True, 2, {"day": 1})


@pytest.mark.parametrize(("asked_for", "traceparent"), [(None, TRACEPARENT), (ANOTHER_TRACE, ANOTHER_TRACE)])
def test_a_rerun_stays_in_the_trace_of_the_run_unless_it_names_another(tables, ended_run, asked_for, traceparent):
    tables.execute("update tidemill.runs set traceparent = %s where run_id = %s", [TRACEPARENT, ended_run])
    again = {"request_id": "again", "kind": "rerun", "run_id": ended_run, "traceparent": asked_for}
    insert(tables, "requests", again)
    query = "select traceparent from tidemill.requests where request_id = 'again'"
    assert tables.execute(query).fetchone() == (traceparent,)


def test_a_repeated_rerun_is_no_error_after_its_run_continued(tables, ended_run):
    again = "insert into tidemill.requests (request_id, kind, run_id) values ('again', 'rerun', %s)"
    tables.execute(again, [ended_run])
    tables.execute("update tidemill.runs set state = 'running', attempt = 3 where run_id = %s", [ended_run])
    assert tables.execute(again + " on conflict do nothing", [ended_run]).rowcount == 0
    with pytest.raises(psycopg.errors.UniqueViolation), tables.transaction():
        tables.execute(again, [ended_run])
    with refused("it is running; only a run that has ended, or that waits for its next attempt, can run again"):
        tables.execute(again.replace("'again'", "'another'"), [ended_run])


def test_a_run_waiting_for_a_retry_can_be_rerun(tables, ended_run):
    tables.execute("update tidemill.runs set state = 'retry_wait' where run_id = %s", [ended_run])
    insert(tables, "requests", {"request_id": "now", "kind": "rerun", "run_id": ended_run})
    query = "select nominal_time, attempt, payload from tidemill.requests where request_id = 'now'"
    assert tables.execute(query).fetchone() == (None, 0, None), "its owner knows the run"
    with refused("it is retry_wait; only a run that has ended, or that waits for its next attempt, can run again"):
        insert(tables, "requests", {"request_id": "all", "kind": "rerun", "run_id": ended_run, "downstream": True})


def test_a_request_id_is_unique_per_job(tables):
    ask = "insert into tidemill.requests (request_id, job_id) values ('invoice-42', %s) on conflict do nothing"
    assert [tables.execute(ask, [job]).rowcount for job in ("mail", "print", "mail")] == [1, 1, 0]


def test_a_repeated_request_is_no_error_after_its_job_became_a_dag(tables):
    ask = "insert into tidemill.requests (request_id, job_id) values ('r', 'nightly') on conflict do nothing"
    assert tables.execute(ask).rowcount == 1
    insert(tables, "dags", {"dag_id": "nightly"})
    assert tables.execute(ask).rowcount == 0


def test_a_rerun_of_a_run_with_a_pruned_request_needs_a_payload(tables, ended_run):
    tables.execute("update tidemill.runs set request_id = 'pruned' where run_id = %s", [ended_run])
    with (
        refused("the row of request pruned was removed, or the request came through the topic; set the payload"),
        tables.transaction(),
    ):
        insert(tables, "requests", {"request_id": "again", "kind": "rerun", "run_id": ended_run})
    insert(tables, "requests", {"request_id": "again", "kind": "rerun", "run_id": ended_run, "payload": [7]})
    assert tables.execute("select payload from tidemill.requests where request_id = 'again'").fetchone() == ([7],)


@pytest.mark.parametrize(
    ("run_id", "fragment"),
    [("nightly#r1", "it is running; only a run that has ended"), ("a#b", "there is no such run")],
)
def test_an_open_run_cannot_be_rerun(tables, ended_run, run_id, fragment):
    with refused(fragment):
        insert(tables, "requests", {"request_id": "again", "kind": "rerun", "run_id": run_id})


@pytest.mark.parametrize("kind", ["cancel", "terminate"])
def test_one_run_or_all_runs_of_a_job_can_be_stopped(tables, kind):
    insert(tables, "requests", {"request_id": "r1", "kind": kind, "run_id": "nightly@2026-03-01T00:00:00Z"})
    insert(tables, "requests", {"request_id": "r2", "kind": kind, "job_id": "nightly", "note": "enough"})
    assert {each for (each,) in tables.execute("select owner from tidemill.requests")} == {"nightly"}


@pytest.mark.parametrize(("change", "fragment"), REQUESTS)
def test_an_invalid_request_is_refused(tables, change, fragment):
    with refused(fragment):
        insert(tables, "requests", {"request_id": "r1", "job_id": "nightly"} | change)


def test_a_request_for_an_unknown_job_is_accepted_with_a_warning(tables):
    said = []
    tables.add_notice_handler(lambda diagnostic: said.append((diagnostic.severity, diagnostic.message_primary)))
    insert(tables, "jobs", GOOD)
    insert(tables, "dags", {"dag_id": "etl"})  # the DAG is compiled at commit
    insert(tables, "requests", {"request_id": "r1", "job_id": GOOD["job_id"]})
    insert(tables, "requests", {"request_id": "r2", "dag_id": "etl"})
    insert(tables, "requests", {"request_id": "r3", "job_id": "nightyl"})
    sentence = "there is no job or DAG nightyl: unless it is defined within a minute, request r3 is refused"
    assert said == [("WARNING", sentence)]


def test_the_error_names_the_column_for_programs_too(tables):
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        insert(tables, "jobs", GOOD | {"dst_gap": "jump"})
    assert (caught.value.diag.schema_name, caught.value.diag.column_name) == ("tidemill", "dst_gap")


GENEROUS = {
    "job_id": "Übung 7, Ärger",
    "schedule": " */5  * * * mon-fri ",
    "timezone": "Australia/Lord_Howe",
    "sha256": "0123456789abcdef" * 4,
    "args": ["--fast", ""],
    "env": {"MODE": "fast", "_x1": "secret:token"},
    "payload": [None, {"a": None}],
    "timeout": "2 days 00:00:00.5",
    "timeout_class": "1h",
    "jitter": "0",
    "non_retryable_exit_codes": [2, 255],
    "dst_fold": "both",
    "starts_at": "2026-01-01T00:00:00+02:00",
    "ends_at": "2199-12-31T00:00:00Z",
}


def test_a_valid_row_is_accepted(tables):
    insert(tables, "jobs", GOOD | GENEROUS)


SENTENCES = {
    "truncate tidemill.jobs": "TRUNCATE of tidemill.jobs is refused: it would remove jobs without recording",
    "truncate tidemill.requests": "TRUNCATE of tidemill.requests is refused",
    "truncate tidemill.definitions": "TRUNCATE of tidemill.definitions is refused: it is the history",
    "update tidemill.requests set payload = '1'": "UPDATE of tidemill.requests is refused: an accepted request",
    "delete from tidemill.requests": "DELETE of tidemill.requests is refused: an accepted request never changes",
    "update tidemill.definitions set deleted = true": "UPDATE of tidemill.definitions is refused: it is the history",
    "delete from tidemill.definitions": "DELETE of tidemill.definitions is refused: it is the history",
    "insert into tidemill.definitions values ('j', 'job', 1, now(), true)": "triggers append to it; write to",
}


@pytest.mark.parametrize(("statement", "sentence"), SENTENCES.items())
def test_a_forbidden_statement_is_refused(tables, statement, sentence):
    insert(tables, "jobs", GOOD)
    insert(tables, "requests", {"request_id": "r1", "job_id": "nightly"})
    with refused(sentence):
        tables.execute(statement)
