"""How a partition goes from one session to another that takes it over while the first one still decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.ids import occurrence_run_id, request_run_id
from schemas.words import OverlapPolicy
from streams.core.settings import CoreSettings
from streams.owner.session_calls import (
    Call,
    CheckAssignment,
    Commit,
    DeliveryStopped,
    Fence,
    LogFailedError,
    Pause,
    Prepare,
    ReadState,
)
from tests.support import checkers
from tests.support.simulated.driven_session import DrivenSession
from tests.support.simulated.log import PATIENT, START, Log


def kinds(session: DrivenSession) -> list[type]:
    return [type(call) for call in session.calls]


def test_records_read_ahead_are_not_read_again_after_the_fencing() -> None:
    log = Log()
    log.dispatched()
    reads = [call.after for call in log.recover().calls if isinstance(call, ReadState)]
    assert reads == [-1, max(offset for offset, _, _ in log.state_after(-1))]


def test_a_session_that_hands_over_decides_until_it_is_fenced_and_then_ends() -> None:
    log = Log()
    session = handing_over(log)
    log.request("r")
    log.turn(session, 1)
    assert len(log.dispatches()) == 1, "it reads for itself what nobody delivers"
    successor = log.recover()
    log.request("s")
    log.turn(session, 1)
    assert (session.has_ended, kinds(session).count(CheckAssignment)) == (True, 1)
    log.turn(successor, 1)
    assert len(log.dispatches()) == 2


@pytest.mark.parametrize("call", [Prepare, CheckAssignment, Pause])
def test_a_failed_session_that_hands_over_does_not_fence(call) -> None:
    log = Log()
    session = log.recover()
    session.when(call, lambda: setattr(session, "is_handing_over", True), after=1)
    session.failing[Commit] = LogFailedError("the brokers are away")
    log.turn(session, 5)
    assert session.has_ended
    assert kinds(session).count(Fence) == 1


@given(decides=st.lists(st.booleans(), min_size=12, max_size=12), requests=st.lists(st.booleans(), min_size=12))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_decisions_during_a_takeover_are_made_once(decides, requests) -> None:
    log = Log()
    old, turns, asked = handing_over(log, schedule="* * * * * *"), iter(decides), iter(requests)
    wanted = {occurrence_run_id("job", START + timedelta(seconds=each)) for each in range(1, 4)}

    def live_on(_: Call[Any]) -> None:
        if log.fenced_by is old and next(asked, False):
            wanted.add(request_run_id("job", f"r{len(wanted)}"))
            log.request(f"r{len(wanted) - 1}")
        if next(turns, False) and not old.has_ended:
            log.turn(old, 1)

    new = DrivenSession(log, CoreSettings(), PATIENT, before=live_on)
    for _ in range(3):
        log.turn(new, 1)
    seconds = int((log.now - START).total_seconds())
    wanted |= {occurrence_run_id("job", START + timedelta(seconds=each)) for each in range(1, seconds + 1)}
    history = log.history()
    assert checkers.materialized_once(history) + checkers.legal_history(history) == []
    assert checkers.dispatched_once(log.dispatches()) == []
    assert log.statuses().keys() == wanted


def handing_over(log: Log, **fields: object) -> DrivenSession:
    """An owner that has decided for some seconds, and hands over."""
    log.define(overlap_policy=OverlapPolicy.ALLOW_ALL, **fields)
    session = log.recover()
    for _ in range(3):
        log.turn(session, 1)
    session.is_handing_over = True
    session.offer(DeliveryStopped())
    return session
