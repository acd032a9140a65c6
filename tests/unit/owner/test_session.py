"""The order in which a session asks, reads, decides and writes; and what faults between two of its calls do."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.ids import occurrence_run_id
from schemas.topics import CDC, DEADLETTER, REQUESTS
from schemas.words import RunState
from streams.core.room import Bounds
from streams.core.settings import CoreSettings
from streams.owner.limits import Limits
from streams.owner.phases import Phase
from streams.owner.session_calls import (
    CheckAssignment,
    Commit,
    Fence,
    GetHeartbeats,
    LogFailedError,
    Pause,
    Prepare,
    Read,
    ReadClaims,
    ReadExecutorEnds,
    ReadState,
    ReadUnclaimed,
    Recovered,
    Resync,
    Settle,
    Take,
)
from tests.support import checkers
from tests.support.simulated.driven_session import DrivenSession
from tests.support.simulated.log import PATIENT, START, Log, started

LEASE = CoreSettings().lease
AWAKE = Limits()
AWAY = LogFailedError("the brokers are away")


def kinds(session: DrivenSession) -> list[type]:
    return [type(call) for call in session.calls]


def letters(log: Log) -> list[str]:
    return [dict(each.headers)["reason"].decode() for each in log.written if each.topic == DEADLETTER]


TAKEOVER = [Prepare, ReadState, CheckAssignment, Fence, Settle, ReadState, ReadUnclaimed, GetHeartbeats]


def test_a_session_prepares_asks_fences_settles_and_reads_the_rest_before_deliveries() -> None:
    assert kinds(Log().recover()) == TAKEOVER


@pytest.mark.parametrize("call", [Prepare, CheckAssignment, Fence, Settle, ReadState, ReadUnclaimed])
def test_a_failed_call_during_a_takeover_restarts_the_preparation(call) -> None:
    session = DrivenSession(Log(), CoreSettings(), PATIENT, failing={call: AWAY}, failures=2)
    assert [b for a, b in pairwise(kinds(session)) if a is Pause] == [Prepare, Prepare]
    assert session.session.phase is Phase.RUNNING


def test_a_session_asks_right_before_each_fencing_whatever_failed() -> None:
    log = Log()
    session = log.recover()
    for _ in range(5):
        session.failing[Commit] = AWAY
        log.turn(session, 5)
        del session.failing[Commit]
        log.turn(session, 5)
    asked = [before for before, call in pairwise(kinds(session)) if call is Fence]
    assert asked == [CheckAssignment] * 6


def test_a_worker_that_is_no_longer_the_holder_leaves_without_fencing() -> None:
    log = Log()
    session = log.recover()
    session.is_held, session.failing[Commit] = False, AWAY
    log.turn(session, 5)
    assert session.has_ended
    assert kinds(session).count(Fence) == 1


def test_a_partition_assigned_again_while_its_holder_leaves_is_kept() -> None:
    log = Log()
    session = log.recover()
    session.is_held, session.may_leave = False, False
    session.failing[Commit] = AWAY
    session.when(Pause, lambda: setattr(session, "is_held", True), after=2)
    log.turn(session, 5)
    assert not session.has_ended
    assert kinds(session).count(Fence) == 2


def test_a_stopping_session_ends_at_its_next_answer() -> None:
    log = Log()
    session = log.recover()
    session.is_stopping = True
    log.turn(session)
    assert session.has_ended
    assert log.written == []


@pytest.mark.parametrize("call", [ReadClaims, ReadExecutorEnds])
def test_an_unanswered_question_about_silence_keeps_the_owner(call) -> None:
    """The group coordinator may be down while the partition's leader is up."""
    log = Log()
    session = log.dispatched()
    if call is ReadExecutorEnds:
        session.claims = {"10s": 1}
        session.offer(log.report(started(log.dispatches()[0], log.now)))
    owner = session.owner
    log.turn(session, 2 * LEASE.total_seconds())
    log.turn(session, 1)
    asked = kinds(session).count(call)
    assert asked >= 1
    log.turn(session, 1)
    assert (session.owner, kinds(session).count(call)) == (owner, asked), "it is not asked again at once"
    assert Commit in kinds(session)


def test_the_same_owner_retries_a_failed_read() -> None:
    log = Log()
    session = log.recover()
    owner = session.owner
    log.define()
    log.request("r")
    session.failing[Read] = AWAY
    log.turn(session)
    assert log.dispatches() == []
    del session.failing[Read]
    log.turn(session, 1)
    assert len(log.dispatches()) == 1
    assert session.owner is owner


def test_after_an_absence_changes_are_read_before_anything_is_due() -> None:
    """A worker is frozen for an hour without a takeover, and the pause is more than one read of the log away."""
    log = Log()
    log.define(schedule="* * * * *", overlap_policy="allow_all", catchup_policy="all")
    session = log.recover(limits=Limits(pull_at_once=1))
    log.turn(session)
    log.now = START + timedelta(minutes=5, seconds=1)
    log.request("c", kind="cancel", run_id="job#none")
    log.define(2, schedule="* * * * *", overlap_policy="allow_all", catchup_policy="all", paused=True)
    log.now = START + timedelta(hours=1)
    for _ in range(5):
        log.turn(session, 1)
    ran = {run_id for run_id, each in log.statuses().items() if each.state is not RunState.SKIPPED}
    assert ran == {occurrence_run_id("job", START + timedelta(minutes=minute)) for minute in range(1, 6)}


def test_a_gap_of_any_length_is_read_in_bounded_parts() -> None:
    limits = Limits(stall=PATIENT.stall, pull_at_once=10, queued=25)
    log = Log()
    log.define()
    for number in range(500):
        log.request(f"r{number}", kind="cancel", run_id=f"job#none-{number}")
    session = log.recover(limits=limits)
    most = 0
    while session.backlog:
        log.turn(session)
        most = max(most, session.owner.queued)
    assert most <= 35
    assert session.state.durable.applied[CDC].offset == 500


def test_a_gap_of_large_records_is_read_at_the_owners_pace() -> None:
    limits = Limits(stall=PATIENT.stall, pull_at_once=10, queued_bytes=100_000)
    log = Log()
    log.define(schedule="* * * * * *", overlap_policy="allow_all", catchup_policy="all")
    log.turn(log.recover())
    for number in range(100):
        log.request(f"r{number}", payload="x" * 20_000)
    log.bounds = Bounds(effects=4)
    session = log.recover(limits=limits)
    most = 0
    while session.backlog:
        log.turn(session)
        most = max(most, session.owner.queued)
    assert most <= 5 + 10


def test_no_tick_comes_before_the_last_part_of_cdc_is_read() -> None:
    log = Log()
    log.define(schedule="* * * * * *")
    for number in range(40):
        log.request(f"r{number}", kind="cancel", run_id=f"job#none-{number}")
    log.define(2, schedule="* * * * * *", paused=True)
    session = log.recover(limits=Limits(stall=PATIENT.stall, pull_at_once=10))
    for _ in range(4):
        log.turn(session, 1)
        assert Recovered not in kinds(session)
    log.turn(session, 1)
    assert Recovered in kinds(session)
    assert log.dispatches() == []


def test_a_record_delivered_before_the_gap_below_it_is_read_hides_no_record() -> None:
    log = Log()
    log.define()
    session = log.recover(limits=Limits(stall=PATIENT.stall, pull_at_once=3))
    log.turn(session)
    for number in range(10):
        log.request(f"r{number}")
    session.offer(Resync())
    session.offer(log.request("last"))
    for _ in range(6):
        log.turn(session)
    assert len(log.statuses()) == 11


deliveries = st.lists(st.sampled_from(["write", "write", "deliver", "turn", "resync", "skip", "die"]), max_size=60)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(happenings=deliveries, parts=st.integers(1, 4))
def test_however_delivery_and_reading_interleave_each_request_runs_once(happenings: list[str], parts: int) -> None:
    """Delivery skips records only at a rebalance; then the session reads them."""
    log = Log()
    log.define(overlap_policy="allow_all")
    limits = Limits(stall=PATIENT.stall, pull_at_once=parts, queued=8, pull_interval=PATIENT.pull_interval)
    session, written, waiting = log.recover(limits=limits), 0, []
    for happening in happenings:
        match happening:
            case "write":
                waiting.append(log.request(f"r{written}"))
                written += 1
            case "deliver" if waiting:
                session.offer(waiting.pop(0))
            case "skip" if waiting:
                waiting.clear()
                session.offer(Resync())
            case "resync":
                session.offer(Resync())
            case "die":
                session = log.recover(limits=limits)
            case _:
                log.turn(session)
    session.offer(Resync())
    for _ in range(3 * written + 20):
        log.turn(session)
    assert {f"job#r{number}" for number in range(written)} == set(log.statuses())
    assert checkers.materialized_once(log.history()) == []
    assert session.backlog == 0


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults=st.lists(st.integers(1, 12), max_size=12), is_done=st.booleans())
def test_a_session_may_crash_at_any_call(faults: list[int], is_done: bool) -> None:  # noqa: FBT001
    """`is_done`: the crash comes after the call was carried out."""
    log = Log()
    log.define(schedule="*/5 * * * * *", overlap_policy="allow_all", catchup_policy="all")
    for at_call in faults:
        session = log.recover()
        session.die_at(at_call, is_done=is_done)
        for _ in range(4):
            if not session.has_ended:
                log.turn(session, 2)
    session = log.recover()
    log.turn(session, 5)
    log.turn(session)
    seconds = int((session.state.durable.watermark - START).total_seconds())
    due = {occurrence_run_id("job", START + timedelta(seconds=each)) for each in range(5, seconds + 1, 5)}
    assert due == set(log.statuses())
    assert checkers.materialized_once(log.history()) == []
    assert checkers.dispatched_once(log.dispatches()) == []


def test_a_job_with_a_record_too_large_for_the_brokers_is_quarantined_and_others_continue() -> None:
    """The record follows from the time, so no input record is to blame."""
    log = Log()
    log.define(schedule="*/10 * * * * *", payload="x" * 1_000)
    log.define(schedule="*/10 * * * * *", job_id="other")
    session = log.recover()
    log.turn(session)
    session.too_large = 1_000
    for _ in range(6):
        log.turn(session, 5)
    assert {run_id.partition("@")[0] for run_id in log.statuses()} == {"other"}
    (letter,) = letters(log)
    assert letter.startswith("'job' is quarantined")


def test_input_deleted_before_it_was_applied_is_reported_as_a_problem_once() -> None:
    log = Log()
    log.define()
    log.turn(log.recover(), 1)
    for number in range(5):
        log.request_by_topic(f"r{number}")
    log.first[REQUESTS] = 3
    for _ in range(3):
        session = log.recover()
        log.turn(session, 5)
        log.turn(session)
    (letter,) = letters(log)
    assert letter.startswith("topic requests lost the offsets 0 to 2 before they were applied")
    assert set(log.statuses()) == {"job#r3", "job#r4"}


def test_the_very_first_owner_reports_no_lost_input_of_an_old_topic() -> None:
    log = Log()
    for number in range(5):
        log.request_by_topic(f"r{number}")
    log.first[REQUESTS] = 3
    log.turn(log.recover(), 1)
    assert letters(log) == []


def test_input_topics_are_read_to_their_ends_periodically_whatever_is_delivered() -> None:
    log = Log()
    log.define()
    session = log.recover(limits=Limits(stall=PATIENT.stall))
    log.turn(session)
    log.request("r")  # written, never delivered
    log.turn(session, 1)
    assert log.dispatches() == []
    log.turn(session, AWAKE.pull_interval.total_seconds())
    assert len(log.dispatches()) == 1


def test_a_session_waits_for_deliveries_until_the_next_due_time() -> None:
    log = Log()
    log.define(schedule="*/10 * * * * *")
    session = log.recover()
    log.turn(session)
    log.turn(session, 9.75)
    assert isinstance(session.waits, Take)
    assert session.waits.patience == timedelta(seconds=0.25)
