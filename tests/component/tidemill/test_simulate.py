"""`tidemill simulate` on the real tables: they check its values, keep none of them, and have the recorded durations."""

from __future__ import annotations

from datetime import timedelta

import orjson
import psycopg
import pytest
from psycopg.rows import dict_row

from tests.component.tidemill.test_audit import ran
from tests.support.dag_rows import put as put_dag
from tests.support.read_model_rows import allow_writes
from tidemill.cli import run
from tidemill.queries import now_of

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DAY = ("--from", "2026-12-01T00:00:00Z", "--to", "2026-12-02T00:00:00Z")


@pytest.fixture
def database(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True, row_factory=dict_row) as connection:
        allow_writes(connection, [(now_of(connection) - timedelta(days=1)).date()])
        connection.execute(
            "insert into tidemill.jobs (job_id, executable, schedule) values ('nightly', 's3://bucket/k', '0 * * * *')"
        )
        yield connection


@pytest.fixture
def simulate(database, tables_dsn, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", tables_dsn)

    def call(*arguments, job="nightly"):
        named = () if job is None else ("--job", job)
        code = run(["simulate", *named, *arguments, "--data", str(tmp_path)])
        printed = capsys.readouterr()
        return code, printed

    return call


def played(simulate, *arguments, **named):
    code, printed = simulate(*DAY, *arguments, "--json", **named)
    assert code == 0, printed.err
    return orjson.loads(printed.out)


def took(database, at, duration):
    """A recorded run."""
    one = {"attempt": 1, "token": 1, "started_at": at, "finished_at": at + duration, "ended_as": "succeeded"}
    run_id = ran(database, "nightly", at, attempts=[one])
    database.execute("update tidemill.runs set attempt = 1 where run_id = %s", (run_id,))


def written(database):
    """All that a change would leave."""
    return database.execute(
        "select (select count(*) from tidemill.definitions) as versions, (select xmin::text from tidemill.jobs) as row"
    ).fetchone()


def test_a_changed_schedule_is_played_beside_the_old_one_and_nothing_is_written(database, simulate):
    before = written(database)
    found = played(simulate, "--set", "schedule=*/15 * * * *")
    assert (found["old"]["runs"], found["new"]["runs"]) == (24, 96)
    assert (len(found["difference"]["come"]), found["difference"]["gone"]) == (72, [])
    assert found["set"] == {"schedule": "*/15 * * * *"}
    assert written(database) == before


def test_without_a_change_only_the_job_itself_is_played(simulate):
    found = played(simulate)
    assert (found["old"]["runs"], found["new"], found["difference"]) == (24, None, None)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("schedule=61 * * * *", "61"),
        ("concurrency_limit=2", "it needs overlap_policy allow_all"),
        ("jitter=soon", "jitter: invalid input syntax for type interval"),
    ],
)
def test_a_value_is_refused_in_the_words_of_the_database(database, simulate, value, sentence):
    before = written(database)
    name, _, of_name = value.partition("=")
    with pytest.raises(psycopg.Error) as error:
        database.execute(f"update tidemill.jobs set {name} = %s", (of_name,))
    code, printed = simulate("--set", value)
    assert code != 0
    assert sentence in printed.err
    assert error.value.diag.message_primary in printed.err
    assert written(database) == before


def test_an_unknown_column_is_refused_with_the_allowed_ones(simulate):
    code, printed = simulate("--set", "prio=5")
    assert code == 2
    assert "a job has no column prio" in printed.err
    assert "overlap_policy" in printed.err


def test_durations_are_those_of_recorded_attempts(database, simulate):
    at = now_of(database).replace(minute=0, second=0, microsecond=0)
    took(database, at, 40 * MINUTE)
    found = played(simulate, "--set", "schedule=*/30 * * * *")
    assert (found["durations"]["recorded"], found["durations"]["p50"], found["durations"]["assumed"]) == (1, 2400, None)
    assert (found["old"]["runs"], found["old"]["not_run"]) == (24, {})
    assert (found["new"]["runs"], found["new"]["not_run"]) == (24, {"overlap_skipped": 24})
    assert found["new"]["late"] == {"p50": 0, "p95": 0, "max": 0}


def test_without_a_recorded_attempt_it_says_what_it_assumes(simulate):
    assert played(simulate)["durations"]["assumed"] == "PT1S"
    assert "No attempt is recorded" in simulate(*DAY)[1].out


def test_what_ends_otherwise_is_said_for_each_occurrence(simulate):
    found = played(simulate, "--set", "max_runs=3")["difference"]
    assert found["changed"] == [
        {"nominal_time": "2026-12-01T03:00:00.000Z", "before": "succeeded", "after": "max_runs"}
    ]
    assert (len(found["gone"]), found["come"]) == (20, [])


def test_a_seed_decides_the_draws(database, simulate):
    at = now_of(database).replace(minute=0, second=0, microsecond=0)
    for number in range(20):
        took(database, at - number * MINUTE, number * MINUTE)
    busy = [played(simulate, "--seed", seed)["old"]["busy_seconds"] for seed in ("1", "1", "2")]
    assert busy[0] == busy[1] != busy[2]


def test_a_dag_is_played_with_its_nodes(database, simulate):
    with database.transaction():
        put_dag(database, {"a": [], "b": ["a"], "c": ["a"]}, "etl", schedule="0 3 * * *")
    found = played(simulate, "--dag", "etl", "--set", "schedule=0 */6 * * *", "--takes", "5s", job=None)
    assert (found["old"]["runs"], found["new"]["runs"]) == (1, 4)
    assert (found["old"]["processes_max"], found["old"]["busy_seconds"]) == (2, 15)


def test_people_see_one_table_and_what_comes_and_goes(simulate):
    code, printed = simulate(*DAY, "--set", "schedule=30 3 * * *")
    assert code == 0
    lines = printed.out.splitlines()
    assert [line.split()[1:4] for line in lines if line.startswith("occurrences")] == [["24", "1", "-23"]]
    assert "1 occurrence comes: 2026-12-01T03:30:00Z." in lines
    assert any(line.startswith("24 occurrences go: 2026-12-01T00:00:00Z, ") for line in lines)
