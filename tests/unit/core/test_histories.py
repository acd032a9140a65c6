"""Histories with rare combinations: backlogs, stops, silence, deletions."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from schemas.classes import parse_classes
from schemas.event import EndCause, Expired
from schemas.heartbeat import AttemptInHand, Window
from schemas.words import AttemptEnd, RunState
from streams.core.inputs import ClaimsSeen, HeartbeatHeard
from streams.core.runs.leases import wants_judgement
from streams.core.settings import CoreSettings
from streams.owner.owner import Owner
from tests.support.simulated.heartbeats import heartbeat as plain_heartbeat
from tests.support.simulated.log import Log, ended, started

SETTINGS = CoreSettings()
LEASE = SETTINGS.lease.total_seconds()
UNTIL_VOID = SETTINGS.dispatch_valid_for + SETTINGS.claim_grace
RETRIED = {"max_attempts": 3, "initial_interval": timedelta(hours=1), "max_interval": timedelta(hours=1)}


def beat(log: Log, owner: Owner, *attempts: AttemptInHand, window: int | None = None) -> None:
    windows = () if window is None else (Window(timeout_class="10s", partition=0, size=window),)
    heartbeat = plain_heartbeat(log.now, windows=windows, attempts=attempts)
    owner.learn(HeartbeatHeard(heartbeat=heartbeat, appended_at=log.now))
    log.turn(owner)


def judge(log: Log, owner: Owner) -> None:
    owner.judge(log.now)
    log.turn(owner)


def look(log: Log, owner: Owner, claimed_below: int = 0) -> None:
    owner.learn(ClaimsSeen(claimed_below={"10s": claimed_below}, as_of=log.now))
    log.turn(owner)


def ends(log: Log) -> list[AttemptEnd | None]:
    return [attempt.end for attempt in log.statuses()["job#r"].attempts]


def test_a_late_event_does_not_undo_a_later_heartbeat() -> None:
    log = Log()
    owner = log.dispatched()
    (dispatch,) = log.dispatches()
    late = log.report(started(dispatch, log.now))
    log.turn(owner, 2 * LEASE)
    beat(log, owner, AttemptInHand(run_id=dispatch.run_id, token=dispatch.token, partition=0))
    owner.offer(late)
    judge(log, owner)
    assert ends(log) == [None]
    log.turn(owner, LEASE)
    judge(log, owner)
    assert ends(log) == [AttemptEnd.LOST, None]


def test_a_rerun_of_a_run_cancelled_in_the_queue_waits_for_its_retry() -> None:
    """The run's first queue entry still exists when it gets a second one."""
    log = Log()
    log.define(**RETRIED)
    owner = log.recover()
    beat(log, owner, window=0)
    owner.offer(log.request("r"))
    log.turn(owner)
    nominal = log.statuses()["job#r"].nominal_time.isoformat()
    owner.offer(log.request("c", kind="cancel", run_id="job#r"))
    owner.offer(log.request("again", kind="rerun", run_id="job#r", nominal_time=nominal))
    log.turn(owner)
    assert log.statuses()["job#r"].state is RunState.QUEUED
    beat(log, owner, window=1)
    (dispatch,) = log.dispatches()
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, exit_code=1)))
    log.turn(owner, 1)
    log.turn(owner, 60)
    assert (log.statuses()["job#r"].state, len(log.dispatches())) == (RunState.RETRY_WAIT, 1)


def test_a_parked_request_is_not_forgotten_for_its_age() -> None:
    log = Log()
    old = (log.now - 2 * SETTINGS.request_ttl).isoformat()
    log.request("r", created_at=old)
    log.request("young", owner="other", job_id="other")
    owner = log.recover()
    log.turn(owner)
    owner.offer(log.define())
    log.turn(owner)
    assert log.statuses()["job#r"].state is RunState.QUEUED
    owner.offer(log.request("younger"))
    log.turn(owner)
    assert "req/r" not in log.stored()


def test_refused_parked_requests_leave_no_state() -> None:
    log = Log()
    log.request("r", owner="nobody", job_id="nobody")
    owner = log.recover()
    log.turn(owner)
    log.turn(owner, SETTINGS.park_limit.total_seconds() + 1)
    assert owner.state.derived.parked == {}


def test_a_request_does_not_create_an_existing_run_again() -> None:
    log = Log()
    log.request("again", kind="rerun", run_id="job#r", nominal_time=log.now.isoformat())
    log.request("r")
    owner = log.recover()
    log.turn(owner)
    owner.offer(log.define())
    log.turn(owner)
    assert len(log.dispatches()) == 1
    assert log.statuses()["job#r"].rerun_id == "again"


def test_an_unclaimed_run_is_missed_at_its_deadline_despite_its_dispatch() -> None:
    log = Log()
    log.define(schedule="@every 10m", start_deadline=timedelta(seconds=90))
    owner = log.recover()
    log.turn(owner)
    log.turn(owner, 600)
    (dispatch,) = log.dispatches()
    log.place(owner, dispatch, offset=0)
    log.turn(owner)
    log.turn(owner, 80)
    look(log, owner)
    assert not wants_judgement(owner.state, log.now)
    log.turn(owner, 10)
    look(log, owner)
    assert wants_judgement(owner.state, log.now)
    judge(log, owner)
    assert log.statuses()[dispatch.run_id].state is RunState.MISSED
    owner.offer(log.report(Expired(run_id=dispatch.run_id, attempt=1, token=dispatch.token, at=log.now)))
    log.turn(owner, 1)
    assert len(log.dispatches()) == 1


def test_a_waiting_dispatch_is_not_judged() -> None:
    log = Log()
    owner = log.dispatched()
    log.turn(owner, 2 * UNTIL_VOID.total_seconds())
    look(log, owner)
    assert not wants_judgement(owner.state, log.now)


@pytest.mark.parametrize("delay", [0, 20])
def test_a_dispatch_expires_dispatch_valid_for_after_its_commit_was_seen(delay: float) -> None:
    """Executors count from the append, which is between the step and the commit."""
    log = Log()
    log.define()
    log.request("r")
    owner = log.recover()
    log.turn(owner)
    (dispatch,) = log.dispatches()
    log.now += timedelta(seconds=delay)
    log.place(owner, dispatch, offset=0)
    owner.offer(log.request("c", kind="cancel", run_id="job#r"))
    log.turn(owner)
    log.turn(owner, UNTIL_VOID.total_seconds() - 1)
    look(log, owner)
    assert not wants_judgement(owner.state, log.now)
    log.turn(owner, 1)
    look(log, owner)
    assert wants_judgement(owner.state, log.now)


def test_claimed_offsets_count_from_the_time_of_the_question() -> None:
    log = Log()
    owner = log.dispatched()
    owner.offer(log.request("c", kind="cancel", run_id="job#r"))
    log.turn(owner)
    asked_at = log.now + UNTIL_VOID - timedelta(seconds=1)
    log.turn(owner, UNTIL_VOID.total_seconds() + 10)
    owner.learn(ClaimsSeen(claimed_below={"10s": 0}, as_of=asked_at))
    log.turn(owner)
    assert not wants_judgement(owner.state, log.now)


def test_a_deleted_job_is_forgotten_after_its_last_run() -> None:
    log = Log()
    owner = log.dispatched()
    owner.offer(log.define(2, deleted=True))
    log.turn(owner)
    for version, is_forgotten in ((3, False), (4, True)):
        log.now += SETTINGS.request_ttl + timedelta(seconds=1)
        owner.offer(log.define(version, job_id="another"))
        log.turn(owner)
        log.turn(owner, 1)
        assert ("def/job" not in log.stored()) is is_forgotten
        owner.offer(log.report(ended(log.dispatches()[0], log.now)))
        log.turn(owner)


@pytest.mark.parametrize(
    ("cause", "state"), [(EndCause.EXITED, RunState.SUCCEEDED), (EndCause.LIMIT, RunState.TIMED_OUT)]
)
def test_an_end_without_a_start_event_counts(cause: EndCause, state: RunState) -> None:
    log = Log()
    owner = log.dispatched(timeout=timedelta(seconds=5))
    owner.offer(log.report(ended(log.dispatches()[0], log.now, cause=cause)))
    log.turn(owner)
    assert log.statuses()["job#r"].state is state


def test_a_run_of_an_unconfigured_class_continues_in_a_configured_one() -> None:
    """A worker starts with other classes: a run waiting in `1h` would go to a topic without readers."""
    log = Log()
    log.define(timeout=timedelta(minutes=30))
    log.request("r", run_at=(log.now + timedelta(seconds=5)).isoformat())
    log.turn(log.recover())
    assert log.statuses()["job#r"].timeout_class == "1h"
    owner = log.recover(settings=CoreSettings(classes=parse_classes("10s,1m,2h")))
    log.turn(owner, 6)
    (dispatch,) = log.dispatches()
    assert dispatch.timeout_class == "2h"
    reasons = [each.reason for each in log.statuses()["job#r"].transitions]
    assert "class 1h is not configured any more, goes on in 2h" in reasons


def test_an_attempt_ended_by_the_limit_before_its_start_is_lost() -> None:
    log = Log()
    owner = log.dispatched(promote=False)
    (dispatch,) = log.dispatches()
    said = msgspec.structs.replace(ended(dispatch, log.now, -15, EndCause.LIMIT), started_at=None)
    owner.offer(log.report(said))
    log.turn(owner)
    attempts = log.statuses()["job#r"].attempts
    assert attempts[0].reason == "it was ended by a limit, but had not started"
    assert len(attempts) == 2
