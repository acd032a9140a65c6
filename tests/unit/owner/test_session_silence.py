"""How a session finds out that an attempt is lost: the order of its questions, and its own absences."""

from __future__ import annotations

import msgspec
import pytest

from schemas.topics import EVENTS
from schemas.words import AttemptEnd, RunState
from streams.core.settings import CoreSettings
from streams.owner.limits import Limits
from streams.owner.session_calls import Commit, GetHeartbeatOffsets, Read, ReadClaims, ReadExecutorEnds
from tests.support.simulated.driven_session import DrivenSession
from tests.support.simulated.log import PATIENT, START, Log, ended, started

LEASE = CoreSettings().lease
AWAKE = Limits()


def judged(log: Log, session: DrivenSession, turns: int = 8) -> list[AttemptEnd | None]:
    for _ in range(turns):
        log.turn(session, 1)
    return [attempt.end for attempt in log.statuses()["job#r"].attempts]


def test_silence_is_judged_after_claims_ends_heartbeats_deliveries_and_events_in_this_order() -> None:
    log = Log()
    session = log.dispatched()
    log.turn(session)
    session.claims, session.executor_ends, session.heartbeats_read = {"10s": 1}, {0: 7}, {0: 7}
    del session.calls[:]
    assert judged(log, session, turns=60)[0] is AttemptEnd.LOST
    order = [call for call in session.calls if not isinstance(call, Commit)]
    (at,) = [number for number, call in enumerate(order) if isinstance(call, ReadExecutorEnds)][:1]
    assert any(isinstance(call, ReadClaims) for call in order[:at])
    assert [type(call) for call in order[at : at + 3]] == [ReadExecutorEnds, GetHeartbeatOffsets, Read]
    assert (order[at + 2].topic, order[at + 2].until) == (EVENTS, None)


@pytest.mark.parametrize("at_once", [2, 5_000])
def test_an_undelivered_end_in_events_prevents_the_verdict_lost(at_once: int) -> None:
    log = Log()
    session = log.dispatched(limits=msgspec.structs.replace(PATIENT, pull_at_once=at_once))
    session.claims, session.executor_ends, session.heartbeats_read = {"10s": 1}, {0: 7}, {0: 7}
    log.turn(session, LEASE.total_seconds())
    (dispatch,) = log.dispatches()
    for _ in range(5):
        log.report()
    log.report(started(dispatch, log.now), ended(dispatch, log.now))  # written, not delivered
    assert judged(log, session, turns=40) == [AttemptEnd.SUCCEEDED]
    assert log.statuses()["job#r"].state is RunState.SUCCEEDED


def test_no_attempt_is_lost_before_all_heartbeats_are_read() -> None:
    log = Log()
    session = log.dispatched()
    session.claims, session.executor_ends, session.heartbeats_read = {"10s": 1}, {0: 7}, {0: 6}
    assert judged(log, session, turns=80) == [None]
    session.heartbeats_read = {0: 7}
    assert judged(log, session) == [AttemptEnd.LOST, None]


def test_an_owner_with_slow_turns_still_finds_lost_attempts() -> None:
    """Each turn takes longer than an absence; a turn must not restart every lease."""
    log = Log()
    session = log.dispatched(limits=AWAKE)
    session.claims, session.executor_ends, session.heartbeats_read = {"10s": 1}, {0: 7}, {0: 7}
    session.offer(log.report(started(log.dispatches()[0], log.now)))
    lost_after = None
    for _ in range(100):
        log.turn(session, 4)
        if log.statuses()["job#r"].attempts[0].end is AttemptEnd.LOST:
            lost_after = log.now - START
            break
    assert lost_after
    assert lost_after <= 11 * LEASE


def test_an_owner_that_is_always_behind_still_finds_lost_attempts() -> None:
    """There is always a delivery that is not taken, and an event that is not applied."""
    log = Log()
    session = log.dispatched(limits=Limits(stall=PATIENT.stall, take_at_once=1))
    session.claims, session.executor_ends, session.heartbeats_read = {"10s": 1}, {0: 7}, {0: 7}
    session.offer(log.report(started(log.dispatches()[0], log.now)))
    log.turn(session)
    is_lost = False
    for number in range(150):
        for _ in range(3):
            session.offer(log.request(f"r{number}-{_}", kind="cancel", run_id="job#none"))
        is_lost |= AttemptEnd.LOST in judged(log, session, turns=1)
    assert is_lost


def test_the_record_of_absences_is_bounded_while_a_dispatch_is_unclaimed() -> None:
    log = Log()
    session = log.dispatched(limits=AWAKE)
    for _ in range(100):
        log.turn(session, 4)
    assert len(session.state.seen.absences) <= 1


def test_an_absence_of_the_owner_does_not_count_as_silence() -> None:
    log = Log()
    session = log.dispatched(limits=AWAKE)
    session.claims, session.executor_ends, session.heartbeats_read = {"10s": 1}, {0: 7}, {0: 7}
    session.offer(log.report(started(log.dispatches()[0], log.now)))
    log.turn(session, 1)
    log.now += 3 * LEASE
    assert judged(log, session, turns=20) == [None]
    assert judged(log, session, turns=20)[0] is AttemptEnd.LOST
