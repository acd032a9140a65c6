"""Backfills: past occurrences run once, a few at a time, after live work, also when the owner crashes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.event import EndCause
from schemas.words import RunKind, RunState
from streams.core.requests import backfill as core
from tests.support import checkers
from tests.support.simulated.backfilled_job import (
    MINUTE,
    PARENT,
    BackfillScenario,
    at,
    backfill_request,
    history,
    time_in_run_id,
)
from tests.support.simulated.log import START, Log


def test_each_occurrence_from_the_start_to_before_the_end_runs_once_and_one_by_one() -> None:
    scenario = BackfillScenario()
    scenario.backfill(-5, -2)
    assert scenario.start() == [at(-5)]
    scenario.turn(1)
    assert scenario.states() == {
        PARENT: RunState.RUNNING,
        at(-5): RunState.RUNNING,
        at(-4): RunState.QUEUED,
        at(-3): RunState.QUEUED,
    }
    scenario.end(at(-5))
    assert scenario.run_all() == [at(-4), at(-3)]
    assert (scenario.parent().state, scenario.parent().reason) == (RunState.SUCCEEDED, "all 3 runs succeeded")
    child = scenario.log.statuses()[at(-4)]
    assert (child.kind, child.request_id, child.nominal_time) == (RunKind.BACKFILLED, "bf", START - 4 * MINUTE)
    assert scenario.owner.state.durable.runs == {}
    assert not [key for key in scenario.log.stored() if key.startswith(("bf/", "run/"))]


def test_max_active_runs_run_at_a_time_and_the_newest_first_on_request() -> None:
    scenario = BackfillScenario()
    scenario.backfill(-6, 0, max_active_runs=2, run_backwards=True)
    assert scenario.start() == [at(-2), at(-1)]
    scenario.end(at(-2))
    assert scenario.start() == [at(-3)]
    scenario.end(at(-1))
    scenario.end(at(-3))
    assert scenario.run_all() == [at(-4), at(-5), at(-6)]
    assert scenario.parent().state is RunState.SUCCEEDED


def test_an_occurrence_that_has_run_is_kept_or_rerun_with_further_attempt_numbers() -> None:
    scenario = BackfillScenario()
    scenario.backfill(-4, 0, ran={time_in_run_id(-4): None, time_in_run_id(-2): 3})
    assert scenario.run_all() == [at(-3), at(-2), at(-1)]
    assert [each.attempt for each in scenario.log.dispatches()] == [1, 4, 1]
    assert scenario.log.statuses()[at(-2)].rerun_id == "bf"
    assert [each.reason for each in scenario.parent().transitions] == [
        "[2026-03-01T11:56:00.000Z, 2026-03-01T12:00:00.000Z): 4 occurrences",
        "3 runs, 1 occurrences are left alone",
        "all 3 runs succeeded",
    ]


def test_an_open_occurrence_does_not_run_twice() -> None:
    scenario = BackfillScenario()
    scenario.turn(60)
    assert scenario.start() == [at(1)]
    scenario.turn(60)
    scenario.backfill(-2, 0)  # minutes 0 and 1
    assert scenario.start() == [at(0)]
    scenario.end(at(1))
    scenario.end(at(0))
    assert scenario.run_all() == []
    assert checkers.dispatched_once(scenario.log.dispatches()) == []
    assert scenario.parent().reason == "all 1 runs succeeded"


def test_a_backfill_without_occurrences_succeeds_with_a_reason() -> None:
    scenario = BackfillScenario()
    scenario.backfill(-1, 0, ran={time_in_run_id(-1): None})
    assert (scenario.parent().state, scenario.parent().reason) == (
        RunState.SUCCEEDED,
        "nothing to run: 1 occurrences are left alone",
    )


def test_live_work_is_dispatched_first() -> None:
    scenario = BackfillScenario()
    scenario.backfill(-6, 0, max_active_runs=6)
    first = scenario.start()
    assert len(first) == 2, "the probe window"
    scenario.owner.offer(scenario.log.request("live"))
    scenario.turn()
    scenario.end(first[0])
    assert scenario.start() == ["job#live"]


def test_a_backfill_blocks_no_occurrence() -> None:
    scenario = BackfillScenario(overlap_policy="skip")
    scenario.backfill(-3, 0)
    assert scenario.start() == [at(-3)]
    scenario.turn(60)
    assert scenario.start() == [at(1)]


def test_failed_runs_are_retried_by_the_jobs_policy_and_fail_the_backfill() -> None:
    scenario = BackfillScenario(max_attempts=2)
    scenario.backfill(-3, 0)
    for run_id, code in ((at(-3), 1), (at(-3), 1), (at(-2), 1), (at(-2), 0), (at(-1), 0)):
        assert scenario.start() == [run_id]
        scenario.end(run_id, code)
        scenario.turn(5)
    assert (scenario.parent().state, scenario.parent().reason) == (RunState.FAILED, "1 of 3 runs did not succeed")


@pytest.mark.parametrize("order", [{"run_id": PARENT}, {}])
def test_a_cancelled_backfill_starts_no_run_and_ends_after_the_running_ones(order: dict[str, str]) -> None:
    scenario = BackfillScenario()
    scenario.backfill(-5, 0, max_active_runs=2)
    first, second = scenario.start()
    scenario.owner.offer(scenario.log.request("stop", kind="cancel", note="enough", **order))
    scenario.turn()
    assert scenario.states() == {
        PARENT: RunState.CANCELLING,
        first: RunState.CANCELLING,
        second: RunState.CANCELLING,
        at(-3): RunState.CANCELLED,
        at(-2): RunState.CANCELLED,
        at(-1): RunState.CANCELLED,
    }
    assert sorted(each.run_id for each in scenario.log.kills()) == [first, second]
    scenario.end(first, -15, EndCause.CANCELLED)
    scenario.end(second)
    assert scenario.states()[second] is RunState.SUCCEEDED
    assert (scenario.parent().state, scenario.parent().reason) == (RunState.CANCELLED, "cancelled: enough")
    assert scenario.owner.state.durable.runs == {}


def test_cancelling_one_run_keeps_the_others() -> None:
    scenario = BackfillScenario()
    scenario.backfill(-3, 0)
    for run_id in (at(-2), at(-3)):
        scenario.owner.offer(scenario.log.request(f"stop-{run_id[-5:-1]}", kind="cancel", run_id=run_id))
    scenario.start()
    scenario.end(at(-3), -15, EndCause.CANCELLED)
    assert scenario.run_all() == [at(-1)]
    assert scenario.parent().reason == "2 of 3 runs did not succeed"


@pytest.mark.parametrize(("on_delete", "then"), [("finish", RunState.RUNNING), ("cancel", RunState.CANCELLING)])
def test_a_backfill_of_a_deleted_job_starts_no_more_runs(on_delete: str, then: RunState) -> None:
    scenario = BackfillScenario(on_delete=on_delete)
    scenario.backfill(-3, 0)
    (first,) = scenario.start()
    scenario.owner.offer(scenario.log.define(2, deleted=True))
    scenario.turn()
    assert scenario.states() == {
        PARENT: RunState.CANCELLING,
        first: then,
        at(-2): RunState.CANCELLED,
        at(-1): RunState.CANCELLED,
    }
    scenario.end(first)
    assert scenario.parent().state is RunState.CANCELLED


def test_a_paused_job_is_backfilled_but_only_within_its_window() -> None:
    scenario = BackfillScenario(paused=True, starts_at=START - 3 * MINUTE, ends_at=START - MINUTE)
    scenario.backfill(-5, 0)
    assert scenario.run_all() == [at(-3), at(-2)]


def test_a_backfill_waits_for_undecided_occurrences_and_runs_none_twice() -> None:
    scenario = BackfillScenario(overlap_policy="allow_all")
    scenario.turn(59)
    # The clock is at 12:00:59; the backfill ends at 12:01:30.
    scenario.owner.offer(scenario.log.request("bf", **backfill_request(0, 1, START + 0.5 * MINUTE)))
    scenario.turn()
    assert scenario.parent().state is RunState.QUEUED
    scenario.turn(1)
    assert scenario.start() == [at(1)]
    assert scenario.parent().state is RunState.QUEUED
    scenario.turn(30)
    assert scenario.parent().reason == "nothing to run: 1 occurrences are left alone"
    assert checkers.materialized_once(history(scenario.log)) == []


@pytest.mark.parametrize(
    ("job", "fields", "reason"),
    [
        ({"schedule": None}, {}, "refused: job 'job' has no schedule, so nothing was ever due"),
        ({}, {"backfill_to": (START - 9 * MINUTE).isoformat()}, "is not later than backfill_from"),
        (
            {},
            {"backfill_to": (START + 9 * MINUTE).isoformat()},
            "is later than now; what is not due yet runs by itself",
        ),
        ({}, {"max_active_runs": 0}, "max_active_runs is 0; allowed are numbers from 1 to 1000"),
        ({}, {"backfill_from": "2026-01-01T00:00:00Z"}, "has more than 10000 occurrences; ask for several backfills"),
    ],
)
def test_an_invalid_backfill_is_refused_in_its_own_status(job, fields, reason) -> None:
    scenario = BackfillScenario(**job)
    scenario.backfill(-5, 0, **fields)
    assert scenario.parent().state is RunState.SKIPPED
    assert reason in (scenario.parent().reason or "")
    assert scenario.owner.state.durable.runs == {}


def test_a_backfill_of_an_unknown_job_is_a_problem() -> None:
    log = Log()
    owner = log.recover()
    owner.offer(log.request("bf", **backfill_request(-1, 0, log.now)))
    log.turn(owner)
    log.turn(owner, 60)
    (letter,) = [each for each in log.written if each.topic == "deadletter"]
    assert b"job 'job' does not exist" in dict(letter.headers)["reason"]


def test_the_total_size_of_open_backfills_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(core, "MAX_OPEN", 9)
    scenario = BackfillScenario()
    scenario.backfill(-5, 0, "first")
    scenario.backfill(-10, -5, "bf")
    assert "have 5 occurrences, it would have 5, and at most 9 are allowed" in (scenario.parent().reason or "")


def test_a_dry_run_starts_nothing_and_lists_what_would_run() -> None:
    scenario = BackfillScenario()
    scenario.backfill(-5, 0, dry_run=True, ran={time_in_run_id(-5): None, time_in_run_id(-3): 2})
    assert scenario.parent().state is RunState.SKIPPED
    assert scenario.parent().reason == (
        "dry run: [2026-03-01T11:55:00.000Z, 2026-03-01T12:00:00.000Z): 4 of 5 would run, "
        "from 2026-03-01T11:56:00.000Z to 2026-03-01T11:59:00.000Z; 1 are left alone"
    )
    assert scenario.run_all() == []


def test_a_backfill_of_any_size_keeps_transactions_bounded() -> None:
    scenario = BackfillScenario(schedule="@every 1s")
    scenario.backfill(-100, 0, max_active_runs=1_000)
    sizes = []
    while scenario.owner.next_wake(scenario.log.now) == timedelta(0):
        prepared = scenario.log.turn(scenario.owner)
        sizes.append(len(prepared.records) if prepared else 0)
    assert len(scenario.owner.state.durable.runs) == 6_001
    assert max(sizes) <= 2 * core.AT_A_TIME + 10
    scenario.owner.offer(scenario.log.request("stop", kind="cancel", run_id=PARENT))
    while scenario.owner.backlog or scenario.owner.next_wake(scenario.log.now) == timedelta(0):
        prepared = scenario.log.turn(scenario.owner)
        sizes.append(len(prepared.records) if prepared else 0)
    assert max(sizes) <= 2 * (core.AT_A_TIME + 1_000) + 10
    assert scenario.parent().state is RunState.CANCELLING, "two were dispatched"
    assert len(scenario.owner.state.durable.runs) == 3


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
def test_stopping_a_job_stops_its_backfill_and_all_its_runs(how) -> None:
    """Some of the runs are released and not dispatched: they end while the owner iterates over the open ones."""
    scenario = BackfillScenario(on_delete="cancel")
    scenario.backfill(-6, 0, max_active_runs=4)
    begun = scenario.start()
    assert len(begun) < 4
    order = scenario.log.request("stop", kind="cancel") if how == "cancelled" else scenario.log.define(2, deleted=True)
    scenario.owner.offer(order)
    scenario.turn()
    for run_id in begun:
        scenario.end(run_id, None, EndCause.CANCELLED)
    assert set(scenario.states().values()) == {RunState.CANCELLED}
    assert len(scenario.states()) == 7


def test_occurrences_backfilled_during_a_pause_do_not_run_again_at_the_catch_up() -> None:
    job = {"schedule": "* * * * *", "overlap_policy": "allow_all"}
    scenario = BackfillScenario(paused=True, **job)
    scenario.turn(10 * MINUTE.total_seconds())
    scenario.backfill(-8, -4, max_active_runs=9)
    assert scenario.run_all() == [at(2), at(3), at(4), at(5)]
    scenario.owner = scenario.log.recover()  # the covered occurrences survive a takeover
    scenario.turn()
    scenario.owner.offer(scenario.log.define(2, **job, catchup_after_pause="all"))
    ran = []
    for _ in range(6):  # at the catch-up rate
        scenario.turn(0.1)
        ran += scenario.run_all()
    assert sorted(ran) == [at(1), *map(at, range(6, 11))]
