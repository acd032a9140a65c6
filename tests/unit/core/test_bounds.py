"""A transaction is bounded, however much is due at once; the rest follows in later ones (protocol O6)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import orjson
import pytest

from schemas.topics import DEADLETTER
from schemas.words import RunState
from streams.core.settings import CoreSettings
from tests.support import checkers
from tests.support.simulated.dag_scenario import node
from tests.support.simulated.log import START
from tests.support.simulated.watched_owner import BOUNDS, SETTINGS, WatchedOwner

MANY = 300
TOMORROW = timedelta(days=1)


def states(watched: WatchedOwner) -> Counter[RunState]:
    return Counter(each.state for each in watched.log.statuses().values())


def asked(watched: WatchedOwner, count: int = MANY, **fields: object) -> None:
    for number in range(count):
        watched.request(f"r{number:03}", **fields)


def test_a_cancel_of_many_runs_takes_several_transactions_and_cancels_all() -> None:
    watched = WatchedOwner()
    watched.define(overlap_policy="allow_all")
    asked(watched, run_at=(START + TOMORROW).isoformat())
    watched.until_idle()
    watched.request("c", kind="cancel")
    watched.request("later", run_at=(START + TOMORROW).isoformat())
    assert watched.until_idle() >= MANY // BOUNDS.effects
    assert states(watched) == {RunState.CANCELLED: MANY, RunState.QUEUED: 1}
    assert "job#later" in watched.owner.state.durable.runs


def test_a_cancel_interrupted_by_a_crash_is_finished_by_the_next_owner() -> None:
    watched = WatchedOwner()
    watched.define(overlap_policy="allow_all")
    asked(watched, run_at=(START + TOMORROW).isoformat())
    watched.until_idle()
    watched.request("c", kind="cancel")
    while states(watched)[RunState.CANCELLED] < MANY:
        watched.turn()
        watched.recover()
    watched.until_idle()
    assert checkers.legal_history(watched.log.history()) == []
    watched.request("c", kind="cancel")
    assert watched.until_idle() <= 1


def test_a_deletion_is_applied_after_all_its_runs_are_cancelled() -> None:
    watched = WatchedOwner()
    watched.define(overlap_policy="allow_all", on_delete="cancel")
    asked(watched, run_at=(START + TOMORROW).isoformat())
    watched.until_idle()
    watched.define(deleted=True)
    watched.turn()
    assert not watched.owner.state.durable.jobs["job"].deleted
    watched.until_idle()
    assert watched.owner.state.durable.jobs["job"].deleted
    assert states(watched) == {RunState.CANCELLED: MANY}


def test_records_after_an_interrupted_one_are_applied_once() -> None:
    watched = WatchedOwner()
    watched.define(schedule="* * * * * *", catchup_policy="all", overlap_policy="allow_all")
    watched.until_idle(1)
    watched.log.now += timedelta(minutes=10)
    watched.log.define(2, schedule="0 0 1 1 *", catchup_policy="all", overlap_policy="allow_all")
    watched.log.append_public(b"garbage")
    watched.recover()
    assert watched.until_idle() > 5
    letters = [each for each in watched.log.written if each.topic == DEADLETTER]
    assert [dict(each.headers)["source_offset"] for each in letters] == [b"0"]


def test_runs_that_miss_their_deadline_together_are_missed_in_several_transactions() -> None:
    watched = WatchedOwner()
    for number in range(MANY):
        watched.define(job_id=f"j{number}", schedule="* * * * *", start_deadline=timedelta(seconds=30))
    watched.until_idle()
    watched.until_idle(60)
    watched.beat([], window=0)
    assert watched.until_idle(31) >= (MANY - 2) // BOUNDS.effects
    assert states(watched)[RunState.MISSED] >= MANY - CoreSettings().probe_window


def test_requests_that_waited_for_their_definition_are_carried_out_in_their_order() -> None:
    watched = WatchedOwner()
    asked(watched)
    watched.until_idle()
    watched.define(overlap_policy="allow_all")
    watched.request("r999")
    watched.turn()
    watched.recover()
    watched.until_idle()
    made = [each.run_id for each in watched.log.history() if each.state is RunState.QUEUED and each.attempt == 0]
    assert list(dict.fromkeys(made)) == [*(f"job#r{number:03}" for number in range(MANY)), "job#r999"]


def test_requests_whose_definition_never_comes_are_refused_in_several_transactions() -> None:
    watched = WatchedOwner()
    asked(watched)
    watched.until_idle()
    assert watched.until_idle(SETTINGS.park_limit.total_seconds() + 1) >= MANY // BOUNDS.effects
    assert sum(each.topic == DEADLETTER for each in watched.log.written) == MANY


def test_retries_that_fall_due_together_are_queued_in_several_transactions() -> None:
    hour = timedelta(hours=1)
    watched = WatchedOwner()
    fields = {"max_attempts": 3, "initial_interval": hour, "max_interval": hour, "retry_jitter": 0.0}
    watched.define(overlap_policy="allow_all", **fields)
    watched.beat([])
    asked(watched)
    watched.until_idle()
    watched.report(exit_code=1, at_once=MANY)
    watched.until_idle()
    assert states(watched) == {RunState.RETRY_WAIT: MANY}
    watched.beat([], window=0)
    watched.until_idle()
    assert watched.until_idle(3601) >= MANY // BOUNDS.effects
    assert RunState.RETRY_WAIT not in states(watched)


def test_an_occurrence_that_replaces_many_runs_starts_after_all_are_stopped() -> None:
    watched = WatchedOwner()
    watched.define(overlap_policy="allow_all", timeout_class="10s")
    watched.beat([], window=0)
    asked(watched)
    watched.until_idle()
    watched.define(overlap_policy="cancel_other", schedule="* * * * *", timeout_class="10s")
    watched.until_idle()
    assert watched.until_idle(60) >= MANY // BOUNDS.effects
    assert states(watched) == {RunState.CANCELLED: MANY, RunState.QUEUED: 1}
    assert checkers.materialized_once(watched.log.history()) == []


def test_a_late_edit_that_replaces_many_runs_starts_after_all_are_stopped() -> None:
    watched = WatchedOwner()
    watched.define(overlap_policy="allow_all", timeout_class="10s", paused=True)
    watched.beat([], window=0)
    asked(watched)
    watched.until_idle()
    record = watched.log.define(2, overlap_policy="terminate_other", schedule="* * * * *", timeout_class="10s")
    watched.until_idle(61)
    watched.owner.offer(record)
    assert watched.until_idle() >= MANY // BOUNDS.effects
    found = states(watched)
    assert (found[RunState.CANCELLED] + found[RunState.CANCELLING], found[RunState.QUEUED]) == (MANY, 1)
    assert checkers.materialized_once(watched.log.history()) == []


def test_a_large_resume_waits_for_a_transaction_that_holds_it_whole() -> None:
    watched = WatchedOwner()
    for number in range(10):
        watched.define(job_id=f"j{number}", schedule="* * * * *", paused=True)
    watched.until_idle()
    watched.log.now += timedelta(minutes=13)
    for number in range(10):
        fields = {"schedule": "* * * * *", "catchup_after_pause": "all", "overlap_policy": "allow_all"}
        watched.define(job_id=f"j{number}", **fields)
    assert watched.until_idle() > 1
    assert checkers.materialized_once(watched.log.history()) == []
    assert Counter(each.job_id for each in watched.log.statuses().values()) == {f"j{n}": 13 for n in range(10)}


def test_old_request_ids_are_forgotten_in_batches() -> None:
    watched = WatchedOwner()
    watched.define(overlap_policy="allow_all")
    asked(watched, run_at=(START + timedelta(days=300)).isoformat())
    watched.until_idle()
    watched.log.now += timedelta(days=8)
    watched.request("new")
    for _ in range(3 * MANY // BOUNDS.effects):
        watched.turn()
    assert watched.owner.state.durable.requests.keys() == {"job#new"}


def test_dag_runs_due_together_open_in_several_transactions() -> None:
    watched = WatchedOwner()
    watched.define_dag(node("a"), node("b", "a"), max_active_epochs=MANY, dag_timeout=timedelta(minutes=5))
    for number in range(100):
        watched.owner.offer(watched.log.request_dag(f"r{number}", run_at=(START + timedelta(minutes=1)).isoformat()))
    watched.until_idle()
    assert watched.until_idle(60) >= 100 // BOUNDS.nodes
    assert sum(each.state is RunState.RUNNING for each in watched.log.statuses().values()) == 100
    watched.until_idle(301)
    ends = Counter(each.state for each in watched.log.statuses().values() if each.node_id is None)
    assert ends[RunState.TIMED_OUT] >= 100 - CoreSettings().probe_window


def test_definitions_leave_half_of_a_transaction_to_due_work() -> None:
    watched = WatchedOwner()
    watched.define(job_id="steady", schedule="* * * * * *", overlap_policy="allow_all")
    watched.until_idle()
    for number in range(MANY):
        watched.define(job_id=f"j{number}")
    watched.log.now += timedelta(seconds=1)
    watched.turn()
    assert watched.owner.backlog
    assert watched.owner.state.durable.watermark == watched.log.now


@pytest.mark.parametrize("policy", ["skip", "latest", "all"])
def test_a_resume_of_many_jobs_counts_missed_occurrences_without_a_search(policy) -> None:
    """Each search took 100 ms: all of them were one step that was never committed (issue 10)."""
    watched = WatchedOwner(CoreSettings())
    for number in range(100):
        fields = {"schedule": "* * * * *", "catchup_after_pause": policy, "catchup_window": timedelta(minutes=5)}
        watched.define(job_id=f"j{number:03}", paused=True, **fields)
    watched.until_idle()
    watched.log.now += timedelta(days=3)
    for number in range(100):
        watched.define(job_id=f"j{number:03}", **fields)
    room = watched.owner.state.transaction
    watched.turn()
    assert room.work_us <= 100 * 1_000
    watched.until_idle()
    assert {each.missed.count for each in watched.log.statuses().values() if each.missed} <= {4315, 4319, 4320}


def test_backfills_refused_for_their_size_are_counted_without_a_search() -> None:
    watched = WatchedOwner(CoreSettings())
    watched.define(schedule="* * * * *")
    watched.log.now += timedelta(days=10)
    begin, end = START.isoformat(), watched.log.now.isoformat()
    fields = {"reprocess": "none", "max_active_runs": 1, "run_backwards": False, "dry_run": False, "ran": None}
    for number in range(MANY):
        watched.request(f"b{number}", kind="backfill", backfill_from=begin, backfill_to=end, **fields)
    room = watched.owner.state.transaction
    watched.turn()
    assert room.work_us <= MANY * 100
    assert states(watched)[RunState.SKIPPED] == MANY


def test_large_payloads_fill_a_transaction_by_bytes() -> None:
    watched = WatchedOwner()
    watched.define(overlap_policy="allow_all", max_attempts=2)
    asked(watched, 40, payload=orjson.dumps({"x": "y" * 50_000}).decode())
    assert watched.until_idle() >= 10
    assert len({each.run_id for each in watched.log.history()}) == 40
