"""A timeout class is removed from the settings: its runs continue in the class where they would start now."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.classes import parse_classes
from schemas.dag import NodeSpec
from schemas.dispatch import Dispatch
from schemas.event import EndCause, Rejected
from schemas.reasons import ReasonCode
from schemas.words import AttemptEnd, RunState
from streams.core.settings import CoreSettings
from tests.support.simulated.backfilled_job import PARENT, at, backfill_request
from tests.support.simulated.log import START, DrivenSession, Log, ended, started

FEWER = CoreSettings(classes=parse_classes("10s,1h"))
"""Without 1m."""


def restarted(log: Log) -> tuple[DrivenSession, int]:
    """A new owner with fewer classes, and the number of records before it."""
    log.is_claimed = True  # a topic that is not read has no unclaimed dispatches
    owner = log.recover(settings=FEWER)
    return owner, len(log.written)


def work(log: Log, owner: DrivenSession, done: int, turns: int = 20) -> list[Dispatch]:
    """Starts and ends each dispatch after `done` successfully; returns them."""
    first = done
    for _ in range(turns):
        new = log.dispatches()[done:]
        done += len(new)
        for each in new:
            owner.offer(log.report(started(each, log.now), ended(each, log.now)))
        log.turn(owner, 0.2)
    return log.dispatches()[first:]


def topics(log: Log, before: int) -> set[str]:
    return {record.topic for record in log.written[before:] if record.topic.startswith("runs.")}


def test_held_runs_of_a_backfill_move_to_their_present_first_class() -> None:
    log = Log()
    log.define(schedule="* * * * *", timeout_class="1m")
    log.request("bf", **backfill_request(-5, 0, START))
    owner = log.recover()
    for _ in range(4):
        log.turn(owner, 0.2)
    (first,) = log.dispatches()
    assert first.timeout_class == "1m"
    owner, before = restarted(log)
    owner.offer(log.report(started(first, log.now), ended(first, log.now)))
    rest = work(log, owner, 1)
    assert [each.run_id for each in rest] == [at(minute) for minute in (-4, -3, -2, -1)]
    assert topics(log, before) == {"runs.10s"}
    assert log.statuses()[PARENT].reason == "all 5 runs succeeded"
    reasons = [each.reason for each in log.statuses()[at(-2)].transitions]
    assert "class 1m is not configured any more, goes on in 10s" in reasons


def test_queued_and_waiting_runs_move_to_another_class() -> None:
    log = Log()
    log.define(timeout_class="1m")
    log.define(job_id="one", version=2, timeout_class="1m", schedule="*/10 * * * * *", overlap_policy="buffer_all")
    for number in range(4):
        log.request(f"r{number}")
    log.request("later", run_at=(START + timedelta(seconds=40)).isoformat())
    owner = log.recover()
    log.turn(owner)
    for _ in range(3):
        log.turn(owner, 10)
    assert len(log.dispatches()) == 2, "the probe window"
    assert {each.held for each in owner.state.durable.runs.values()} == {True, False}
    owner, before = restarted(log)
    for each in log.dispatches():
        owner.offer(log.report(started(each, log.now), ended(each, log.now)))
    work(log, owner, 2, turns=60)
    assert topics(log, before) == {"runs.10s"}
    assert {each.state for each in log.statuses().values()} == {RunState.SUCCEEDED}
    assert not owner.state.durable.runs


def test_a_retry_moves_to_the_learned_class_of_its_job() -> None:
    log = Log()
    owner = log.dispatched(max_attempts=5, initial_interval=timedelta(seconds=60), timeout_class="1m")
    (first,) = log.dispatches()
    owner.offer(log.report(started(first, log.now), ended(first, log.now, 1)))
    log.turn(owner)
    for number in range(3):  # each attempt reaches the limit of 1m
        owner.offer(log.request(f"r{number}"))
        log.turn(owner)
        for cause in (EndCause.LIMIT, EndCause.EXITED):
            each = log.dispatches()[-1]
            owner.offer(log.report(started(each, log.now), ended(each, log.now, cause=cause)))
            log.turn(owner, 1)
    owner, before = restarted(log)
    log.turn(owner, 90)
    log.turn(owner, 1)
    assert (log.dispatches()[-1].run_id, log.dispatches()[-1].timeout_class) == ("job#r", "1h")
    told = [(each.reason_code, each.reason) for each in log.statuses()["job#r"].transitions]
    place = told.index((ReasonCode.CLASS_REMOVED, "class 1m is not configured any more, goes on in 1h"))
    assert told[place + 1] == (ReasonCode.CLASS_LEARNED, "3 of the last 3 runs outlived 10s")
    assert topics(log, before) == {"runs.1h"}


def test_nodes_of_an_open_dag_run_move_and_new_ones_start_in_another_class() -> None:
    log = Log()
    nodes = tuple(
        NodeSpec(node_id=name, executable="s3://tidemill/x", depends_on=needs, timeout_class="1m")
        for name, needs in (("a", ()), ("b", ()), ("c", ()), ("d", ("a", "b", "c")))
    )
    log.define_dag(*nodes)
    log.request_dag("r")
    owner = log.recover()
    for _ in range(3):
        log.turn(owner, 0.1)
    assert len(log.dispatches()) == 2
    owner, before = restarted(log)
    for each in log.dispatches():
        owner.offer(log.report(started(each, log.now), ended(each, log.now)))
    rest = work(log, owner, 2)
    assert [each.run_id for each in rest] == ["dag#r/c", "dag#r/d"]
    assert topics(log, before) == {"runs.10s"}
    assert log.statuses()["dag#r"].state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("cause", "code", "state"),
    [(EndCause.EXITED, 0, RunState.SUCCEEDED), (EndCause.EXITED, 1, RunState.FAILED)],
)
def test_the_events_of_an_attempt_in_a_removed_class_still_count(cause, code, state) -> None:
    log = Log()
    log.dispatched(timeout_class="1m", max_attempts=1)
    owner, _ = restarted(log)
    (dispatch,) = log.dispatches()
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, code, cause)))
    log.turn(owner)
    assert log.statuses()["job#r"].state is state
    assert len(log.dispatches()) == 1


def test_an_attempt_that_hit_the_limit_of_the_removed_class_is_promoted() -> None:
    log = Log()
    log.dispatched(timeout_class="1m", max_attempts=1)
    owner, _ = restarted(log)
    (dispatch,) = log.dispatches()
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, None, EndCause.LIMIT)))
    log.turn(owner)
    assert log.statuses()["job#r"].attempts[0].end is AttemptEnd.PROMOTED
    assert log.dispatches()[-1].timeout_class == "1h"


def test_an_attempt_rejected_in_the_removed_class_continues_in_another() -> None:
    log = Log()
    log.dispatched(timeout_class="1m", initial_interval=timedelta(seconds=1))
    owner, before = restarted(log)
    (dispatch,) = log.dispatches()
    fields = {"run_id": dispatch.run_id, "attempt": 1, "token": dispatch.token, "at": log.now}
    owner.offer(log.report(Rejected(**fields, reason="executable missing")))
    log.turn(owner)
    log.turn(owner, 5)
    log.turn(owner, 1)
    assert log.dispatches()[-1].timeout_class == "10s"
    assert topics(log, before) == {"runs.10s"}


def test_a_dispatch_in_the_removed_topic_is_lost_once_no_executor_may_claim_it() -> None:
    log = Log()
    log.dispatched(timeout_class="1m")
    owner, _ = restarted(log)
    log.turn(owner)
    ends = []
    for _ in range(10):
        log.now += timedelta(seconds=10)
        owner.judge(log.now)
        log.turn(owner)
        ends.append(len(log.dispatches()) - 1)
    settings = CoreSettings()
    turns = (settings.dispatch_valid_for + settings.claim_grace) / timedelta(seconds=10)
    assert [bool(each) for each in ends] == [number >= turns for number in range(1, 11)]
    assert log.dispatches()[-1].timeout_class == "10s"


def test_a_cancelled_attempt_in_a_removed_class_is_killed_and_ends_as_cancelled() -> None:
    log = Log()
    owner = log.dispatched(timeout_class="1m")
    (dispatch,) = log.dispatches()
    owner.offer(log.report(started(dispatch, log.now)))
    log.turn(owner)
    owner, before = restarted(log)
    owner.offer(log.request("stop", kind="cancel", run_id="job#r"))
    log.turn(owner, 1)
    assert [each.token for each in log.kills()] == [dispatch.token]
    owner.offer(log.report(ended(dispatch, log.now, None, EndCause.CANCELLED)))
    log.turn(owner)
    assert log.statuses()["job#r"].state is RunState.CANCELLED
    assert topics(log, before) == set()
