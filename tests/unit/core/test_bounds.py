"""What a transaction holds is bounded, whatever is due at once; the rest follows in the next ones (protocol O6)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import orjson
import pytest

from schemas.topics import DEADLETTER
from schemas.words import RunState
from streams.core.policy.rules import Rules
from tests.support import checkers
from tests.support.simulated.dag_scenario import node
from tests.support.simulated.log import START
from tests.support.simulated.watched_owner import BOUNDS, RULES, Watched

MANY = 300
TOMORROW = timedelta(days=1)


def states(world: Watched) -> Counter[RunState]:
    return Counter(each.state for each in world.log.statuses().values())


def asked(world: Watched, count: int = MANY, **fields: object) -> None:
    for number in range(count):
        world.request(f"r{number:03}", **fields)


def test_a_cancel_of_many_runs_goes_on_over_several_transactions_and_cancels_all_of_them() -> None:
    world = Watched()
    world.define(overlap_policy="allow_all")
    asked(world, run_at=(START + TOMORROW).isoformat())
    world.until_idle()
    world.request("c", kind="cancel")
    world.request("later", run_at=(START + TOMORROW).isoformat())
    assert world.until_idle() >= MANY // BOUNDS.effects
    assert states(world) == {RunState.CANCELLED: MANY, RunState.QUEUED: 1}
    assert "job#later" in world.owner.state.durable.runs


def test_an_owner_that_dies_in_the_middle_of_a_cancel_leaves_the_rest_to_the_next_one() -> None:
    world = Watched()
    world.define(overlap_policy="allow_all")
    asked(world, run_at=(START + TOMORROW).isoformat())
    world.until_idle()
    world.request("c", kind="cancel")
    while states(world)[RunState.CANCELLED] < MANY:
        world.turn()
        world.recover()
    world.until_idle()
    assert checkers.legal_history(world.log.history()) == []
    world.request("c", kind="cancel")
    assert world.until_idle() <= 1


def test_a_deletion_that_cancels_many_runs_is_applied_when_all_of_them_are_cancelled() -> None:
    world = Watched()
    world.define(overlap_policy="allow_all", on_delete="cancel")
    asked(world, run_at=(START + TOMORROW).isoformat())
    world.until_idle()
    world.define(deleted=True)
    world.turn()
    assert not world.owner.state.durable.jobs["job"].deleted
    world.until_idle()
    assert world.owner.state.durable.jobs["job"].deleted
    assert states(world) == {RunState.CANCELLED: MANY}


def test_what_follows_a_record_that_is_cut_is_taken_once() -> None:
    world = Watched()
    world.define(schedule="* * * * * *", catchup_policy="all", overlap_policy="allow_all")
    world.until_idle(1)
    world.log.now += timedelta(minutes=10)
    world.log.define(2, schedule="0 0 1 1 *", catchup_policy="all", overlap_policy="allow_all")
    world.log.alien(b"garbage")
    world.recover()
    assert world.until_idle() > 5
    letters = [each for each in world.log.written if each.topic == DEADLETTER]
    assert [dict(each.headers)["source_offset"] for each in letters] == [b"0"]


def test_runs_that_miss_their_deadline_together_are_missed_in_several_transactions() -> None:
    world = Watched()
    for number in range(MANY):
        world.define(job_id=f"j{number}", schedule="* * * * *", start_deadline=timedelta(seconds=30))
    world.until_idle()
    world.until_idle(60)
    world.beat([], window=0)
    assert world.until_idle(31) >= (MANY - 2) // BOUNDS.effects
    assert states(world)[RunState.MISSED] >= MANY - Rules().probe_window


def test_requests_that_waited_for_their_definition_are_carried_out_in_their_order() -> None:
    world = Watched()
    asked(world)
    world.until_idle()
    world.define(overlap_policy="allow_all")
    world.request("r999")
    world.turn()
    world.recover()
    world.until_idle()
    made = [each.run_id for each in world.log.history() if each.state is RunState.QUEUED and each.attempt == 0]
    assert list(dict.fromkeys(made)) == [*(f"job#r{number:03}" for number in range(MANY)), "job#r999"]


def test_requests_whose_definition_never_comes_are_refused_in_several_transactions() -> None:
    world = Watched()
    asked(world)
    world.until_idle()
    assert world.until_idle(RULES.park_limit.total_seconds() + 1) >= MANY // BOUNDS.effects
    assert sum(each.topic == DEADLETTER for each in world.log.written) == MANY


def test_retries_that_fall_due_together_are_queued_in_several_transactions() -> None:
    hour = timedelta(hours=1)
    world = Watched()
    fields = {"max_attempts": 3, "initial_interval": hour, "max_interval": hour, "retry_jitter": 0.0}
    world.define(overlap_policy="allow_all", **fields)
    world.beat([])
    asked(world)
    world.until_idle()
    world.report(exit_code=1, at_once=MANY)
    world.until_idle()
    assert states(world) == {RunState.RETRY_WAIT: MANY}
    world.beat([], window=0)
    world.until_idle()
    assert world.until_idle(3601) >= MANY // BOUNDS.effects
    assert RunState.RETRY_WAIT not in states(world)


def test_an_occurrence_that_replaces_many_runs_starts_when_all_of_them_were_stopped() -> None:
    world = Watched()
    world.define(overlap_policy="allow_all", timeout_class="10s")
    world.beat([], window=0)
    asked(world)
    world.until_idle()
    world.define(overlap_policy="cancel_other", schedule="* * * * *", timeout_class="10s")
    world.until_idle()
    assert world.until_idle(60) >= MANY // BOUNDS.effects
    assert states(world) == {RunState.CANCELLED: MANY, RunState.QUEUED: 1}
    assert checkers.materialized_once(world.log.history()) == []


def test_an_edit_that_arrives_late_and_replaces_many_runs_begins_when_all_of_them_were_stopped() -> None:
    world = Watched()
    world.define(overlap_policy="allow_all", timeout_class="10s", paused=True)
    world.beat([], window=0)
    asked(world)
    world.until_idle()
    record = world.log.define(2, overlap_policy="terminate_other", schedule="* * * * *", timeout_class="10s")
    world.until_idle(61)
    world.owner.offer(record)
    assert world.until_idle() >= MANY // BOUNDS.effects
    found = states(world)
    assert (found[RunState.CANCELLED] + found[RunState.CANCELLING], found[RunState.QUEUED]) == (MANY, 1)
    assert checkers.materialized_once(world.log.history()) == []


def test_a_resumption_that_runs_much_waits_for_a_transaction_that_holds_all_of_it() -> None:
    world = Watched()
    for number in range(10):
        world.define(job_id=f"j{number}", schedule="* * * * *", paused=True)
    world.until_idle()
    world.log.now += timedelta(minutes=13)
    for number in range(10):
        fields = {"schedule": "* * * * *", "catchup_after_pause": "all", "overlap_policy": "allow_all"}
        world.define(job_id=f"j{number}", **fields)
    assert world.until_idle() > 1
    assert checkers.materialized_once(world.log.history()) == []
    assert Counter(each.job_id for each in world.log.statuses().values()) == {f"j{n}": 13 for n in range(10)}


def test_ids_that_are_old_enough_are_forgotten_little_by_little() -> None:
    world = Watched()
    world.define(overlap_policy="allow_all")
    asked(world, run_at=(START + timedelta(days=300)).isoformat())
    world.until_idle()
    world.log.now += timedelta(days=8)
    world.request("new")
    for _ in range(3 * MANY // BOUNDS.effects):
        world.turn()
    assert world.owner.state.durable.requests.keys() == {"job#new"}


def test_dag_runs_that_are_due_together_open_in_several_transactions() -> None:
    world = Watched()
    world.define_dag(node("a"), node("b", "a"), max_active_epochs=MANY, dag_timeout=timedelta(minutes=5))
    for number in range(100):
        world.owner.offer(world.log.request_dag(f"r{number}", run_at=(START + timedelta(minutes=1)).isoformat()))
    world.until_idle()
    assert world.until_idle(60) >= 100 // BOUNDS.nodes
    assert sum(each.state is RunState.RUNNING for each in world.log.statuses().values()) == 100
    world.until_idle(301)
    ends = Counter(each.state for each in world.log.statuses().values() if each.node_id is None)
    assert ends[RunState.TIMED_OUT] >= 100 - Rules().probe_window


def test_definitions_leave_half_of_a_transaction_to_the_clock() -> None:
    world = Watched()
    world.define(job_id="steady", schedule="* * * * * *", overlap_policy="allow_all")
    world.until_idle()
    for number in range(MANY):
        world.define(job_id=f"j{number}")
    world.log.now += timedelta(seconds=1)
    world.turn()
    assert world.owner.backlog
    assert world.owner.state.durable.watermark == world.log.now


@pytest.mark.parametrize("policy", ["skip", "latest", "all"])
def test_a_resumption_of_many_jobs_after_a_weekend_counts_what_was_due_without_a_search(policy) -> None:
    """Once 100 ms each: all of them were one step that was never committed (issue 10)."""
    world = Watched(Rules())
    for number in range(100):
        fields = {"schedule": "* * * * *", "catchup_after_pause": policy, "catchup_window": timedelta(minutes=5)}
        world.define(job_id=f"j{number:03}", paused=True, **fields)
    world.until_idle()
    world.log.now += timedelta(days=3)
    for number in range(100):
        world.define(job_id=f"j{number:03}", **fields)
    room = world.owner.state.transaction
    world.turn()
    assert room.work_us <= 100 * 1_000
    world.until_idle()
    assert {each.missed.count for each in world.log.statuses().values() if each.missed} <= {4315, 4319, 4320}


def test_backfills_that_are_refused_for_their_size_are_counted_without_a_search() -> None:
    world = Watched(Rules())
    world.define(schedule="* * * * *")
    world.log.now += timedelta(days=10)
    begin, end = START.isoformat(), world.log.now.isoformat()
    fields = {"reprocess": "none", "max_active_runs": 1, "run_backwards": False, "dry_run": False, "ran": None}
    for number in range(MANY):
        world.request(f"b{number}", kind="backfill", backfill_from=begin, backfill_to=end, **fields)
    room = world.owner.state.transaction
    world.turn()
    assert room.work_us <= MANY * 100
    assert states(world)[RunState.SKIPPED] == MANY


def test_large_payloads_fill_a_transaction_by_their_bytes() -> None:
    world = Watched()
    world.define(overlap_policy="allow_all", max_attempts=2)
    asked(world, 40, payload=orjson.dumps({"x": "y" * 50_000}).decode())
    assert world.until_idle() >= 10
    assert len({each.run_id for each in world.log.history()}) == 40
