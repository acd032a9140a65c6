"""When a silent executor's attempt is lost, and when it is not."""

from __future__ import annotations

from datetime import timedelta

from schemas.codec import encode
from schemas.heartbeat import AttemptInHand, ExecutorState, Heartbeat, Window
from schemas.words import AttemptEnd
from streams.core.inputs import ClaimsSeen, DispatchesFound, HeartbeatHeard, WasAway
from streams.core.runs.leases import CLAIM_INTERVAL, CLAIM_PATIENCE, wants_claims, wants_judgement
from streams.core.settings import CoreSettings
from streams.owner.owner import Owner
from tests.support.simulated.log import Log, started

SETTINGS = CoreSettings()
LEASE = SETTINGS.lease.total_seconds()
GRACE = SETTINGS.claim_grace.total_seconds()


def heartbeat(log: Log, **fields: object) -> HeartbeatHeard:
    plain = {"executor_id": "e.1", "name": "e", "host": "h", "version": "1", "state": ExecutorState.RUNNING}
    rest = {"at": log.now, "interval": timedelta(seconds=3), "slots": (), "windows": (), "attempts": ()}
    beat = Heartbeat(**{**plain, **rest, **fields})
    assert encode(beat)
    return HeartbeatHeard(heartbeat=beat, appended_at=log.now)


def judge(log: Log, owner: Owner, seconds: float) -> None:
    log.turn(owner, seconds)
    owner.judge(log.now)
    log.turn(owner)


def ends(log: Log) -> list[AttemptEnd | None]:
    return [attempt.end for attempt in log.statuses()["job#r"].attempts]


def test_an_attempt_of_an_executor_silent_for_the_lease_is_lost_and_retried() -> None:
    log = Log()
    owner = log.dispatched()
    owner.offer(log.report(started(log.dispatches()[0], log.now)))
    judge(log, owner, LEASE - 1)
    assert ends(log) == [None]
    judge(log, owner, 1)
    assert ends(log) == [AttemptEnd.LOST, None]
    assert len(log.dispatches()) == 2


def test_a_heartbeat_renews_only_the_attempts_that_it_lists() -> None:
    log = Log()
    owner = log.dispatched()
    (dispatch,) = log.dispatches()
    owner.offer(log.report(started(dispatch, log.now)))
    log.turn(owner, LEASE - 1)
    owner.learn(heartbeat(log, attempts=(AttemptInHand(run_id=dispatch.run_id, token=dispatch.token, partition=0),)))
    judge(log, owner, 2)
    assert ends(log) == [None]
    log.turn(owner, LEASE - 3)
    owner.learn(heartbeat(log))
    judge(log, owner, 2)
    assert ends(log) == [AttemptEnd.LOST, None]


def test_a_claim_without_any_event_is_lost() -> None:
    log = Log()
    owner = log.dispatched()
    log.turn(owner, 100)
    assert ends(log) == [None]
    owner.learn(ClaimsSeen(claimed_below={"10s": 1}, as_of=log.now))
    judge(log, owner, 0)
    judge(log, owner, GRACE)
    assert ends(log) == [AttemptEnd.LOST, None]


def test_an_unclaimed_dispatch_waits() -> None:
    log = Log()
    owner = log.dispatched()
    log.turn(owner)
    owner.learn(ClaimsSeen(claimed_below={"10s": 0}, as_of=log.now))
    judge(log, owner, 10 * LEASE)
    assert ends(log) == [None]
    assert wants_claims(owner.state, log.now)


def test_the_owner_checks_every_few_seconds_whether_a_dispatch_is_claimed() -> None:
    log = Log()
    owner = log.dispatched()
    log.turn(owner, 1)
    assert not wants_claims(owner.state, log.now)
    log.turn(owner, CLAIM_PATIENCE.total_seconds())
    assert wants_claims(owner.state, log.now)
    owner.learn(ClaimsSeen(claimed_below={"10s": 0}, as_of=log.now))
    log.turn(owner, CLAIM_INTERVAL.total_seconds() - 1)
    assert not wants_claims(owner.state, log.now)
    log.turn(owner, 1)
    assert wants_claims(owner.state, log.now)


def test_silence_during_the_owners_own_absence_does_not_count() -> None:
    log = Log()
    owner = log.dispatched()
    owner.offer(log.report(started(log.dispatches()[0], log.now)))
    log.turn(owner)
    log.now += timedelta(seconds=10 * LEASE)
    owner.learn(WasAway(since=None))
    log.turn(owner)
    judge(log, owner, LEASE - 1)
    assert ends(log) == [None]
    judge(log, owner, 2)
    assert ends(log) == [AttemptEnd.LOST, None]


def test_a_new_owner_gives_a_running_attempt_one_whole_lease() -> None:
    log = Log()
    owner = log.dispatched()
    owner.offer(log.report(started(log.dispatches()[0], log.now)))
    log.turn(owner, LEASE - 1)
    owner = log.recover()
    log.turn(owner)
    judge(log, owner, LEASE - 1)
    assert ends(log) == [None]
    judge(log, owner, 2)
    assert ends(log) == [AttemptEnd.LOST, None]


def test_a_new_owner_treats_a_dispatch_that_it_does_not_find_as_claimed_now() -> None:
    log = Log()
    log.dispatched()
    log.is_claimed = True
    owner = log.recover()
    judge(log, owner, 0)
    judge(log, owner, GRACE - 1)
    assert ends(log) == [None]
    judge(log, owner, 2)
    assert ends(log) == [AttemptEnd.LOST, None]


def test_a_new_owner_waits_for_a_dispatch_that_still_lies_unclaimed_in_the_log() -> None:
    log = Log()
    log.dispatched()
    (dispatch,) = log.dispatches()
    owner = log.recover()
    owner.learn(DispatchesFound(offsets={dispatch.run_id: (dispatch.token, 0)}))
    judge(log, owner, 10 * LEASE)
    assert ends(log) == [None]


def test_a_late_event_of_a_lost_attempt_changes_nothing() -> None:
    log = Log()
    owner = log.dispatched()
    (first,) = log.dispatches()
    owner.offer(log.report(started(first, log.now)))
    judge(log, owner, LEASE)
    before = log.statuses()["job#r"]
    owner.offer(log.report(started(first, log.now)))
    log.turn(owner)
    assert log.statuses()["job#r"] == before
    assert not wants_judgement(owner.state, log.now)


def test_the_window_of_the_newest_heartbeat_bounds_the_unfinished_dispatches() -> None:
    log = Log()
    log.define()
    owner = log.recover()
    log.turn(owner)
    for number in range(10):
        owner.offer(log.request(f"r{number}"))
    log.turn(owner)
    assert len(log.dispatches()) == SETTINGS.probe_window
    owner.learn(heartbeat(log, windows=(Window(timeout_class="10s", partition=0, size=5),)))
    log.turn(owner)
    assert len(log.dispatches()) == 5
    owner.learn(heartbeat(log, executor_id="e.1", state=ExecutorState.GONE))
    log.turn(owner)
    assert len(log.dispatches()) == 5
