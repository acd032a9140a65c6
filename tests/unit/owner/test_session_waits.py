"""A session while a server does not answer, or while its own work waits."""

from __future__ import annotations

from datetime import timedelta

from schemas.topics import CDC
from schemas.words import RunState
from streams.owner.limits import Limits
from streams.owner.session_calls import Chunk, LogFailedError, Read, Resync, Take
from tests.support.simulated.log import PATIENT, Log, ended, started

AWAY = LogFailedError("the brokers are away")


def test_an_unreadable_topic_does_not_block_the_others() -> None:
    log = Log()
    session = log.dispatched()
    (dispatch,) = log.dispatches()
    read = log.read

    def read_all_but_cdc(call: Read) -> Chunk:
        if call.topic == CDC:
            raise AWAY
        return read(call)

    log.read = read_all_but_cdc  # type: ignore[method-assign]
    session.offer(Resync())
    log.turn(session, 1)
    session.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now)))
    for _ in range(3):
        log.turn(session, 1)
    assert log.statuses()["job#r"].state is RunState.SUCCEEDED


def test_a_session_waits_while_the_clock_is_unsteady_even_during_a_tick() -> None:
    """Definitions wait for the end of the tick, which may last as long as the clock is wrong."""
    log = Log()
    log.define(schedule="* * * * * *", overlap_policy="allow_all", catchup_policy="all")
    session = log.recover()
    log.turn(session)
    log.turn(session, 3_600)
    assert session.state.durable.cursor
    session.is_steady = False
    session.offer(log.define(2, schedule="* * * * * *", paused=True))
    for _ in range(3):
        log.turn(session, 5)
    assert session.state.durable.cursor
    assert isinstance(session.waits, Take)
    assert session.waits.patience > timedelta(0)
    session.is_steady = True
    for _ in range(50):
        log.turn(session, 1)
    assert session.state.durable.jobs["job"].version == 2


def test_definitions_that_wait_for_a_tick_do_not_delay_events() -> None:
    log = Log()
    log.define(schedule="* * * * * *", overlap_policy="allow_all", catchup_policy="all")
    session = log.recover(limits=Limits(stall=PATIENT.stall, queued=20))
    log.turn(session)
    log.turn(session, 3_600)
    assert session.state.durable.cursor
    for number in range(40):
        session.offer(log.request(f"r{number}"))
    log.turn(session)
    assert len(session.owner._records[CDC]) <= 20
    assert isinstance(session.waits, Take)
    assert session.waits.limit > 1
    for _ in range(50):
        log.turn(session, 1)
    assert session.backlog == 0
    assert {f"job#r{number}" for number in range(40)} <= set(log.statuses())
