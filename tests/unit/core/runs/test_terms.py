"""An attempt is judged by the terms of its dispatch, whatever the owner's present settings are."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from executors.deadlines import ProcessTerms, lease_deadline, may_start
from schemas.dispatch import Dispatch
from schemas.heartbeat import AttemptInHand, ExecutorState, Heartbeat
from schemas.topics import STATE
from streams.core.inputs import ClaimsSeen, HeartbeatHeard
from streams.core.settings import CoreSettings
from streams.owner.records import OutRecord
from tests.support.simulated.log import START, DrivenSession, Log, started

S = timedelta(seconds=1)
LONG, SHORT = 60 * S, 10 * S
MARGIN = 5.0
VALID_FOR = CoreSettings().dispatch_valid_for


def beat(log: Log, owner: DrivenSession, *listed: Dispatch) -> None:
    in_hand = tuple(AttemptInHand(run_id=each.run_id, token=each.token, partition=0) for each in listed)
    heartbeat = Heartbeat(
        executor_id="e.1",
        name="e",
        host="h",
        version="1",
        state=ExecutorState.RUNNING,
        at=log.now,
        interval=3 * S,
        slots=(),
        windows=(),
        attempts=in_hand,
    )
    owner.learn(HeartbeatHeard(heartbeat=heartbeat, appended_at=log.now))


def dispatched(settings: CoreSettings) -> tuple[Log, Dispatch]:
    log = Log()
    log.define()
    log.request("r")
    owner = log.recover(settings=settings)
    log.turn(owner)
    return log, log.dispatches()[0]


def seconds_until_the_next_attempt(log: Log, owner: DrivenSession) -> timedelta:
    began = log.now
    for _ in range(200):
        log.now += S
        owner.judge(log.now)
        log.turn(owner)
        if len(log.dispatches()) > 1:
            return log.now - began
    raise AssertionError("the attempt was never given up")


def test_an_attempt_keeps_the_lease_of_its_dispatch_when_the_setting_becomes_shorter() -> None:
    log, dispatch = dispatched(CoreSettings(lease=LONG))
    log.report(started(dispatch, log.now))
    owner = log.recover(settings=CoreSettings(lease=SHORT))
    log.turn(owner)
    beat(log, owner, dispatch)
    log.turn(owner)
    assert seconds_until_the_next_attempt(log, owner) == LONG
    assert log.dispatches()[1].lease == SHORT


def test_an_attempt_keeps_the_lease_of_its_dispatch_when_the_setting_becomes_longer() -> None:
    log, dispatch = dispatched(CoreSettings(lease=SHORT))
    log.report(started(dispatch, log.now))
    owner = log.recover(settings=CoreSettings(lease=LONG))
    log.turn(owner)
    beat(log, owner, dispatch)
    log.turn(owner)
    assert seconds_until_the_next_attempt(log, owner) == SHORT


def test_a_claim_keeps_the_grace_of_its_dispatch_when_the_setting_becomes_shorter() -> None:
    log, _ = dispatched(CoreSettings(claim_grace=LONG))
    log.is_claimed = True
    owner = log.recover(settings=CoreSettings(claim_grace=SHORT))
    log.turn(owner)
    assert seconds_until_the_next_attempt(log, owner) == LONG


def test_a_cancelled_unclaimed_dispatch_is_open_as_long_as_it_is_valid() -> None:
    log, dispatch = dispatched(CoreSettings(dispatch_valid_for=2 * VALID_FOR))
    owner = log.recover(settings=CoreSettings(dispatch_valid_for=SHORT))
    log.place(owner, dispatch, offset=0)
    owner.offer(log.request("c", kind="cancel", run_id="job#r"))
    log.turn(owner)
    (kill,) = log.kills()
    grace = CoreSettings().claim_grace
    assert kill.valid_for == 2 * VALID_FOR + grace
    for wait, state in ((2 * VALID_FOR + grace - S, "cancelling"), (S, "cancelled")):
        log.now += wait
        owner.learn(ClaimsSeen(claimed_below={"10s": 0}, as_of=log.now))
        log.turn(owner)
        owner.judge(log.now)
        log.turn(owner)
        assert log.statuses()["job#r"].state.value == state


def test_a_run_stored_by_the_former_release_uses_the_present_settings() -> None:
    log, dispatch = dispatched(CoreSettings(lease=LONG))
    log.report(started(dispatch, log.now))
    log.turn(log.recover(settings=CoreSettings(lease=LONG)))
    log.written = [_without_terms(each) for each in log.written]
    owner = log.recover(settings=CoreSettings(lease=SHORT))
    log.turn(owner)
    assert seconds_until_the_next_attempt(log, owner) == SHORT


def _without_terms(record: OutRecord) -> OutRecord:
    if record.key != "run/job#r" or record.topic != STATE or record.value is None:
        return record
    stored = orjson.loads(record.value)
    assert stored.pop("terms", None) or not stored["status"]["attempts"]
    return msgspec.structs.replace(record, value=orjson.dumps(stored))


class Process:
    """One attempt at its executor and supervisor; times are seconds since the start of the log."""

    def __init__(self, log: Log, dispatch: Dispatch, renewed: float) -> None:
        self.log, self.dispatch, self.renewed = log, dispatch, renewed
        self.begun = False
        self._terms = ProcessTerms(
            limit=1e9,
            grace=0.0,
            lease=dispatch.lease.total_seconds(),
            margin=MARGIN,
            start_before=renewed + dispatch.claim_grace.total_seconds() - MARGIN,
        )

    @property
    def now(self) -> float:
        return (self.log.now - START).total_seconds()

    @property
    def is_dead(self) -> bool:
        """Whether no process may run the attempt any more."""
        if self.begun:
            return self.now >= lease_deadline(self._terms, self.renewed) + MARGIN / 2
        return not may_start(self._terms, self.now, self.renewed)


durations = st.integers(10, 90).map(lambda seconds: seconds * S)
any_settings = st.builds(CoreSettings, lease=durations, claim_grace=durations, dispatch_valid_for=durations)
takeovers = st.lists(st.tuples(st.integers(1, 90), any_settings), min_size=1, max_size=3)


@settings(max_examples=100, deadline=None)
@given(first=any_settings, others=takeovers, starts=st.booleans(), beats=st.integers(0, 9))
@example(first=CoreSettings(lease=LONG), others=[(1, CoreSettings(lease=SHORT))], starts=True, beats=1)
@example(first=CoreSettings(claim_grace=LONG), others=[(1, CoreSettings(claim_grace=SHORT))], starts=False, beats=0)
def test_no_second_attempt_starts_while_the_first_may_run_whatever_settings_change(
    first, others, starts, beats
) -> None:
    """Owners with different settings take over one after the other, as in a rolling change."""
    log, dispatch = dispatched(first)
    process = Process(log, dispatch, renewed=0.0)
    process.begun = starts
    if starts:
        log.report(started(dispatch, log.now))
    log.is_claimed = True
    owner = log.recover(settings=first)
    for second in range(200):
        for _, settings_then in [each for each in others if each[0] == second]:
            owner = log.recover(settings=settings_then)
        if starts and second % 3 == 0 and second < 3 * beats:
            process.renewed = process.now
            beat(log, owner, dispatch)
        owner.judge(log.now)
        log.turn(owner)
        if len(log.dispatches()) > 1:
            assert process.is_dead
            return
        log.now += S
    raise AssertionError("the attempt was never given up")
