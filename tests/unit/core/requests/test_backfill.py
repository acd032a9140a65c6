"""Backfills: what was due in the past runs once, a few at a time, behind live work, whoever asks and whatever dies."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.event import EndCause
from schemas.words import RunKind, RunState
from streams.core.requests import backfill as core
from tests.support import checkers
from tests.support.simulated.backfilled_job import MINUTE, PARENT, World, asked, at, during, history
from tests.support.simulated.log import START, Log


def test_each_occurrence_from_the_first_up_to_and_without_the_end_runs_once_and_one_by_one() -> None:
    world = World()
    world.ask(-5, -2)
    assert world.start() == [at(-5)]
    world.turn(1)
    assert world.states() == {
        PARENT: RunState.RUNNING,
        at(-5): RunState.RUNNING,
        at(-4): RunState.QUEUED,
        at(-3): RunState.QUEUED,
    }
    world.end(at(-5))
    assert world.work() == [at(-4), at(-3)]
    assert (world.parent().state, world.parent().reason) == (RunState.SUCCEEDED, "all 3 runs succeeded")
    child = world.log.statuses()[at(-4)]
    assert (child.kind, child.request_id, child.nominal_time) == (RunKind.BACKFILLED, "bf", START - 4 * MINUTE)
    assert world.owner.state.durable.runs == {}
    assert not [key for key in world.log.stored() if key.startswith(("bf/", "run/"))]


def test_so_many_run_at_a_time_and_the_newest_first_if_so_asked() -> None:
    world = World()
    world.ask(-6, 0, max_active_runs=2, run_backwards=True)
    assert world.start() == [at(-2), at(-1)]
    world.end(at(-2))
    assert world.start() == [at(-3)]
    world.end(at(-1))
    world.end(at(-3))
    assert world.work() == [at(-4), at(-5), at(-6)]
    assert world.parent().state is RunState.SUCCEEDED


def test_what_has_run_is_left_alone_or_runs_again_with_its_attempts_counted_on() -> None:
    world = World()
    world.ask(-4, 0, ran={during(-4): None, during(-2): 3})
    assert world.work() == [at(-3), at(-2), at(-1)]
    assert [each.attempt for each in world.log.dispatches()] == [1, 4, 1]
    assert world.log.statuses()[at(-2)].rerun_id == "bf"
    assert [each.reason for each in world.parent().transitions] == [
        "[2026-03-01T11:56:00.000Z, 2026-03-01T12:00:00.000Z): 4 occurrences",
        "3 runs, 1 occurrences are left alone",
        "all 3 runs succeeded",
    ]


def test_an_occurrence_that_is_open_is_not_run_twice() -> None:
    world = World()
    world.turn(60)
    assert world.start() == [at(1)]
    world.turn(60)
    world.ask(-2, 0)  # minutes 0 and 1
    assert world.start() == [at(0)]
    world.end(at(1))
    world.end(at(0))
    assert world.work() == []
    assert checkers.dispatched_once(world.log.dispatches()) == []
    assert world.parent().reason == "all 1 runs succeeded"


def test_nothing_to_run_is_success_and_says_so() -> None:
    world = World()
    world.ask(-1, 0, ran={during(-1): None})
    assert (world.parent().state, world.parent().reason) == (
        RunState.SUCCEEDED,
        "nothing to run: 1 occurrences are left alone",
    )


def test_live_work_is_dispatched_first() -> None:
    world = World()
    world.ask(-6, 0, max_active_runs=6)
    first = world.start()
    assert len(first) == 2, "the probe window"
    world.owner.offer(world.log.request("live"))
    world.turn()
    world.end(first[0])
    assert world.start() == ["job#live"]


def test_a_backfill_is_in_no_occurrences_way() -> None:
    world = World(overlap_policy="skip")
    world.ask(-3, 0)
    assert world.start() == [at(-3)]
    world.turn(60)
    assert world.start() == [at(1)]


def test_runs_that_fail_are_retried_by_the_jobs_policy_and_make_the_backfill_fail() -> None:
    world = World(max_attempts=2)
    world.ask(-3, 0)
    for run_id, code in ((at(-3), 1), (at(-3), 1), (at(-2), 1), (at(-2), 0), (at(-1), 0)):
        assert world.start() == [run_id]
        world.end(run_id, code)
        world.turn(5)
    assert (world.parent().state, world.parent().reason) == (RunState.FAILED, "1 of 3 runs did not succeed")


@pytest.mark.parametrize("order", [{"run_id": PARENT}, {}])
def test_a_cancelled_backfill_starts_nothing_more_and_ends_with_what_runs(order: dict[str, str]) -> None:
    world = World()
    world.ask(-5, 0, max_active_runs=2)
    first, second = world.start()
    world.owner.offer(world.log.request("stop", kind="cancel", note="enough", **order))
    world.turn()
    assert world.states() == {
        PARENT: RunState.CANCELLING,
        first: RunState.CANCELLING,
        second: RunState.CANCELLING,
        at(-3): RunState.CANCELLED,
        at(-2): RunState.CANCELLED,
        at(-1): RunState.CANCELLED,
    }
    assert sorted(each.run_id for each in world.log.kills()) == [first, second]
    world.end(first, -15, EndCause.CANCELLED)
    world.end(second)
    assert world.states()[second] is RunState.SUCCEEDED
    assert (world.parent().state, world.parent().reason) == (RunState.CANCELLED, "cancelled: enough")
    assert world.owner.state.durable.runs == {}


def test_a_run_that_is_cancelled_by_itself_leaves_the_others() -> None:
    world = World()
    world.ask(-3, 0)
    for run_id in (at(-2), at(-3)):
        world.owner.offer(world.log.request(f"stop-{run_id[-5:-1]}", kind="cancel", run_id=run_id))
    world.start()
    world.end(at(-3), -15, EndCause.CANCELLED)
    assert world.work() == [at(-1)]
    assert world.parent().reason == "2 of 3 runs did not succeed"


@pytest.mark.parametrize(("on_delete", "then"), [("finish", RunState.RUNNING), ("cancel", RunState.CANCELLING)])
def test_a_deleted_jobs_backfill_starts_nothing_more(on_delete: str, then: RunState) -> None:
    world = World(on_delete=on_delete)
    world.ask(-3, 0)
    (first,) = world.start()
    world.owner.offer(world.log.define(2, deleted=True))
    world.turn()
    assert world.states() == {
        PARENT: RunState.CANCELLING,
        first: then,
        at(-2): RunState.CANCELLED,
        at(-1): RunState.CANCELLED,
    }
    world.end(first)
    assert world.parent().state is RunState.CANCELLED


def test_a_paused_job_is_backfilled_and_only_within_its_life() -> None:
    world = World(paused=True, starts_at=START - 3 * MINUTE, ends_at=START - MINUTE)
    world.ask(-5, 0)
    assert world.work() == [at(-3), at(-2)]


def test_what_is_not_decided_yet_is_waited_for_and_not_run_twice() -> None:
    world = World(overlap_policy="allow_all")
    world.turn(59)
    world.owner.offer(world.log.request("bf", **asked(0, 1, START + 0.5 * MINUTE)))  # up to 12:01:30, it is 12:00:59
    world.turn()
    assert world.parent().state is RunState.QUEUED
    world.turn(1)
    assert world.start() == [at(1)]
    assert world.parent().state is RunState.QUEUED
    world.turn(30)
    assert world.parent().reason == "nothing to run: 1 occurrences are left alone"
    assert checkers.materialized_once(history(world.log)) == []


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
def test_what_cannot_be_backfilled_is_refused_where_its_result_is_looked_for(job, fields, reason) -> None:
    world = World(**job)
    world.ask(-5, 0, **fields)
    assert world.parent().state is RunState.SKIPPED
    assert reason in (world.parent().reason or "")
    assert world.owner.state.durable.runs == {}


def test_a_backfill_of_a_job_that_nobody_knows_is_a_problem() -> None:
    log = Log()
    owner = log.recover()
    owner.offer(log.request("bf", **asked(-1, 0, log.now)))
    log.turn(owner)
    log.turn(owner, 60)
    (letter,) = [each for each in log.written if each.topic == "deadletter"]
    assert b"job 'job' does not exist" in dict(letter.headers)["reason"]


def test_all_open_backfills_together_are_bounded(monkeypatch) -> None:
    monkeypatch.setattr(core, "MAX_OPEN", 9)
    world = World()
    world.ask(-5, 0, "first")
    world.ask(-10, -5, "bf")
    assert "have 5 occurrences, it would have 5, and at most 9 are allowed" in (world.parent().reason or "")


def test_a_dry_run_runs_nothing_and_says_what_would_run() -> None:
    world = World()
    world.ask(-5, 0, dry_run=True, ran={during(-5): None, during(-3): 2})
    assert world.parent().state is RunState.SKIPPED
    assert world.parent().reason == (
        "dry run: [2026-03-01T11:55:00.000Z, 2026-03-01T12:00:00.000Z): 4 of 5 would run, "
        "from 2026-03-01T11:56:00.000Z to 2026-03-01T11:59:00.000Z; 1 are left alone"
    )
    assert world.work() == []


def test_however_many_they_are_each_transaction_is_bounded() -> None:
    world = World(schedule="@every 1s")
    world.ask(-100, 0, max_active_runs=1_000)
    sizes = []
    while world.owner.next_wake(world.log.now) == timedelta(0):
        prepared = world.log.turn(world.owner)
        sizes.append(len(prepared.records) if prepared else 0)
    assert len(world.owner.state.durable.runs) == 6_001
    assert max(sizes) <= 2 * core.AT_A_TIME + 10
    world.owner.offer(world.log.request("stop", kind="cancel", run_id=PARENT))
    while world.owner.backlog or world.owner.next_wake(world.log.now) == timedelta(0):
        prepared = world.log.turn(world.owner)
        sizes.append(len(prepared.records) if prepared else 0)
    assert max(sizes) <= 2 * (core.AT_A_TIME + 1_000) + 10
    assert world.parent().state is RunState.CANCELLING, "two were dispatched"
    assert len(world.owner.state.durable.runs) == 3


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
def test_a_job_that_is_stopped_as_a_whole_takes_its_backfill_and_all_its_runs_with_it(how) -> None:
    """Some of which are let go and not dispatched: they end while the list of what is open is gone through."""
    world = World(on_delete="cancel")
    world.ask(-6, 0, max_active_runs=4)
    begun = world.start()
    assert len(begun) < 4
    order = world.log.request("stop", kind="cancel") if how == "cancelled" else world.log.define(2, deleted=True)
    world.owner.offer(order)
    world.turn()
    for run_id in begun:
        world.end(run_id, None, EndCause.CANCELLED)
    assert set(world.states().values()) == {RunState.CANCELLED}
    assert len(world.states()) == 7


def test_what_a_backfill_ran_during_a_pause_does_not_run_again_when_the_pause_is_caught_up_with() -> None:
    job = {"schedule": "* * * * *", "overlap_policy": "allow_all"}
    world = World(paused=True, **job)
    world.turn(10 * MINUTE.total_seconds())
    world.ask(-8, -4, max_active_runs=9)
    assert world.work() == [at(2), at(3), at(4), at(5)]
    world.owner = world.log.recover()  # what is covered outlives its owner
    world.turn()
    world.owner.offer(world.log.define(2, **job, catchup_after_pause="all"))
    ran = []
    for _ in range(6):  # at the rate of what catches up
        world.turn(0.1)
        ran += world.work()
    assert sorted(ran) == [at(1), *map(at, range(6, 11))]
