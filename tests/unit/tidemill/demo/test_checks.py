"""The checks of the demo pass for a good demo, and each finds its fault."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tidemill.demo.checks import check_all, check_counts, check_gap, check_order, due
from tidemill.demo.victims import executor_of

START = datetime(2026, 11, 21, 3, 0, 0, tzinfo=UTC)
END = START + timedelta(seconds=59, milliseconds=500)


def job(job_id, schedule):
    return {"job_id": job_id, "schedule": schedule, "timezone": "UTC", "starts_at": START, "ends_at": END}


DAG = job("etl", "@every 30s")
NODES = [
    {"dag_id": "etl", "node_id": "first", "depends_on": []},
    {"dag_id": "etl", "node_id": "second", "depends_on": ["first"]},
]
JOBS = [job("every-5s", "*/5 * * * * *"), job("slow", "@every 60s"), job("flaky", "@every 30s")]
ENDS = {"every-5s": ["succeeded"], "slow": ["promoted", "succeeded"], "flaky": ["failed", "failed", "succeeded"]}


def good_demo():
    runs, attempts = [], []
    for each in JOBS:
        ends = ENDS[each["job_id"]]
        for nominal in due(each):
            run_id = f"{each['job_id']}@{nominal.isoformat()}"
            run_class = "1m" if each["job_id"] == "slow" else "10s"
            runs.append(
                {
                    "run_id": run_id,
                    "job_id": each["job_id"],
                    "kind": "scheduled",
                    "nominal_time": nominal,
                    "state": "succeeded",
                    "attempt": len(ends),
                    "timeout_class": run_class,
                    "latency": timedelta(milliseconds=40),
                }
            )
            attempts += [{"run_id": run_id, "attempt": n, "ended_as": end} for n, end in enumerate(ends, 1)]
    return [*runs, *dag_runs()], attempts


def dag_runs():
    for nominal in due(DAG):
        epoch = {"run_id": f"etl@{nominal.isoformat()}", "job_id": "etl", "kind": "dag", "nominal_time": nominal}
        went_well = {"state": "succeeded", "latency": None}
        yield epoch | went_well
        for number, node in enumerate(NODES):
            begin = nominal + timedelta(seconds=number)
            times = {"queued_at": begin, "finished_at": begin + timedelta(seconds=1)}
            yield epoch | went_well | times | {"run_id": f"{epoch['run_id']}/{node['node_id']}", "kind": "node"}


def failures(runs, attempts):
    return [check.sentence for check in check_all([*JOBS, DAG], NODES, runs, attempts) if not check.holds]


def of(runs, job_id):
    return next(run for run in runs if run["job_id"] == job_id)


def test_what_was_due_is_computed_from_the_row_alone():
    assert due(JOBS[0]) == [START + timedelta(seconds=5 * n) for n in range(12)]
    assert due(JOBS[1]) == [START]
    assert due(JOBS[2]) == [START, START + timedelta(seconds=30)]


def test_every_check_of_a_good_demo_holds():
    assert failures(*good_demo()) == []


def test_a_missing_occurrence_is_named():
    runs, _ = good_demo()
    mine = [run for run in runs if run["job_id"] == "every-5s"]
    check = check_counts(JOBS[0], mine[1:])
    assert not check.holds
    assert "missing: 2026-11-21T03:00:00.000Z" in check.sentence


def test_an_occurrence_that_is_there_twice_is_named():
    runs, _ = good_demo()
    mine = [run for run in runs if run["job_id"] == "every-5s"]
    assert "more than once: 2026-11-21T03:00:00.000Z" in check_counts(JOBS[0], [*mine, mine[0]]).sentence


def test_a_run_that_was_not_due_is_named():
    runs, _ = good_demo()
    mine = [run for run in runs if run["job_id"] == "every-5s"]
    stray = {**mine[0], "nominal_time": START + timedelta(seconds=3)}
    assert "not due: 2026-11-21T03:00:03.000Z" in check_counts(JOBS[0], [*mine, stray]).sentence


@pytest.mark.parametrize(
    ("job_id", "change", "said"),
    [
        ("every-5s", {"state": "running"}, "is running"),
        ("every-5s", {"state": "skipped"}, "is skipped"),
        ("every-5s", {"latency": timedelta(milliseconds=-1)}, "before they were due"),
        ("slow", {"timeout_class": "10s"}, "not promoted"),
        ("flaky", {"attempt": 2}, "attempt 3"),
    ],
)
def test_a_run_that_went_otherwise_is_seen(job_id, change, said):
    runs, attempts = good_demo()
    of(runs, job_id).update(change)
    assert any(said in sentence for sentence in failures(runs, attempts))


def test_a_slow_run_that_was_never_promoted_is_seen():
    runs, attempts = good_demo()
    slow = of(runs, "slow")["run_id"]
    left = [each for each in attempts if each["run_id"] != slow or each["ended_as"] != "promoted"]
    assert failures(runs, left) != []


def test_a_node_that_is_missing_or_did_not_wait_is_named():
    runs, _ = good_demo()
    second = next(run for run in runs if run["run_id"].endswith("/second"))
    assert check_order(NODES, runs).holds
    assert f"{second['run_id']} is missing" in check_order(NODES, [run for run in runs if run is not second]).sentence
    second["queued_at"] -= timedelta(milliseconds=1)
    assert f"{second['run_id']} did not wait" in check_order(NODES, runs).sentence
    assert not check_order(NODES, []).holds


def test_an_attempt_that_the_kill_took_away_is_not_held_against_a_job():
    runs, attempts = good_demo()
    slow = of(runs, "slow")
    slow["attempt"] = 3
    lost = {"run_id": slow["run_id"], "attempt": 1, "ended_as": "lost"}
    assert failures(runs, [lost, *attempts]) == []


def test_the_gap_is_the_longest_time_without_a_start_around_the_kill():
    starts = [START + timedelta(seconds=n) for n in (0, 5, 10, 24, 25, 30)]
    check = check_gap(starts, START + timedelta(seconds=12))
    assert check.holds
    assert "5 s before the kill, 14 s after it" in check.sentence


def test_no_start_after_the_kill_is_a_failure():
    assert not check_gap([START, START + timedelta(seconds=5)], START + timedelta(seconds=12)).holds


def test_the_executor_to_kill_is_the_one_that_started_the_last_run():
    runs = [
        {"started_at": START, "executor_id": "executor-0.abc"},
        {"started_at": END, "executor_id": "executor-1.d.ef"},
        {"started_at": None, "executor_id": None},
    ]
    assert executor_of(runs) == "executor-1.d"
    assert executor_of(runs[2:]) is None
