"""An owner without Kafka, from a definition to a finished run: what it writes, and what it recovers."""

from __future__ import annotations

from datetime import timedelta

from schemas.codec import decode
from schemas.dispatch import Dispatch
from schemas.event import EndCause
from schemas.status import RunStatus
from schemas.topics import CDC, DEADLETTER, STATUS
from schemas.words import RunState
from streams.core.inputs import HeartbeatHeard
from streams.core.room import Bounds
from streams.owner.owner import Owner
from tests.support.simulated.log import BATCH_WAIT, Log, ended, started
from tests.support.simulated.scenario import Scenario

AT_ONCE = timedelta(0)


def test_an_occurrence_is_created_when_it_is_due_and_not_before() -> None:
    log = Log()
    log.define(schedule="*/5 * * * * *")
    owner = log.recover()
    log.turn(owner)
    log.turn(owner, 4.9)
    assert log.dispatches() == []
    log.turn(owner, 0.2)
    assert [d.run_id for d in log.dispatches()] == ["job@2026-03-01T12:00:05Z"]


def test_the_end_of_a_run_follows_its_events() -> None:
    log = Log()
    log.define(schedule="*/5 * * * * *")
    owner = log.recover()
    log.turn(owner)
    log.turn(owner, 5)
    (dispatch,) = log.dispatches()
    owner.offer(log.report(started(dispatch, log.now)))
    log.turn(owner, 0.1)
    log.turn(owner, 0.1)
    assert log.statuses()[dispatch.run_id].state is RunState.RUNNING
    owner.offer(log.report(ended(dispatch, log.now)))
    log.turn(owner, 0.1)
    status = log.statuses()[dispatch.run_id]
    assert [t.state.value for t in status.transitions] == ["queued", "running", "succeeded"]
    assert f"run/{dispatch.run_id}" not in log.stored()


def told_of_a_start() -> tuple[Log, Owner, Dispatch]:
    """An owner of one dispatched run; its start is not written yet."""
    log = Log()
    log.define()
    log.request("r")
    owner = log.recover()
    log.turn(owner)
    (dispatch,) = log.dispatches()
    owner.offer(log.report(started(dispatch, log.now)))
    assert log.turn(owner, patience=AT_ONCE) is None
    return log, owner, dispatch


def test_a_start_is_batched_for_a_short_time() -> None:
    log, owner, dispatch = told_of_a_start()
    assert timedelta(0) < owner.next_wake(log.now) <= BATCH_WAIT
    assert log.turn(owner, owner.next_wake(log.now).total_seconds())
    assert log.statuses()[dispatch.run_id].state is RunState.RUNNING


def test_a_short_run_starts_and_ends_in_one_transaction() -> None:
    log, owner, dispatch = told_of_a_start()
    owner.offer(log.report(ended(dispatch, log.now)))
    assert log.turn(owner, 0.01, patience=AT_ONCE) is None
    assert log.turn(owner, owner.next_wake(log.now).total_seconds())
    assert log.statuses()[dispatch.run_id].state is RunState.SUCCEEDED
    assert sum(record.topic == STATUS for record in log.written) == 2


def test_an_end_that_starts_a_buffered_occurrence_is_not_batched() -> None:
    log = Log()
    log.define(schedule="*/5 * * * * *", overlap_policy="buffer_all")
    owner = log.recover()
    log.turn(owner)
    log.turn(owner, 5)
    log.turn(owner, 5)
    (first,) = log.dispatches()
    owner.offer(log.report(started(first, log.now), ended(first, log.now)))
    assert log.turn(owner, patience=AT_ONCE)
    assert len(log.dispatches()) == 2


def test_batched_events_are_read_again_after_a_crash() -> None:
    log, _, dispatch = told_of_a_start()
    log.turn(log.recover(), 0.1)
    assert log.statuses()[dispatch.run_id].state is RunState.RUNNING


def test_a_new_owner_that_reads_everything_again_decides_nothing_twice() -> None:
    log = Log()
    log.define(schedule="*/5 * * * * *", overlap_policy="allow_all")
    owner = log.recover()
    for _ in range(30):
        log.turn(owner, 1)
        owner = log.recover()
    log.turn(owner)
    ids = [d.run_id for d in log.dispatches()]
    assert len(ids) == len(set(ids))
    assert len(log.statuses()) == 6


def test_a_request_runs_once_however_often_it_arrives() -> None:
    log = Log()
    log.request("r1")
    owner = log.recover()
    log.turn(owner)
    owner.offer(log.define())
    owner.offer(log.request("r1"))
    log.turn(owner, 1)
    owner = log.recover()
    owner.offer(log.request("r1"))
    log.turn(owner, 1)
    assert [d.run_id for d in log.dispatches()] == ["job#r1"]


def test_an_attempt_that_exceeds_its_class_is_promoted() -> None:
    log = Log()
    log.define()
    log.request("r")
    owner = log.recover()
    log.turn(owner)
    (dispatch,) = log.dispatches()
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, None, EndCause.LIMIT)))
    log.turn(owner, 10)
    assert [(d.timeout_class, d.attempt) for d in log.dispatches()] == [("10s", 1), ("1m", 2)]


def test_a_run_that_is_given_up_is_an_alert_with_all_that_is_known_of_it() -> None:
    log = Log()
    log.define(max_infra_retries=1, max_attempts=2)
    log.request("r")
    owner = log.recover()
    log.turn(owner)
    for attempt in range(2):
        dispatch = log.dispatches()[attempt]
        owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, exit_code=3)))
        log.turn(owner)
        log.turn(owner, 5)
    (letter,) = [each for each in log.written if each.topic == DEADLETTER]
    headers = dict(letter.headers)
    assert headers["reason"] == b"run 'job#r' is dead: exit code 3; all 2 attempts are used up"
    assert (headers["kind"], headers["code"], headers["run_id"]) == (b"alert", b"run_dead", b"job#r")
    assert "source_topic" not in headers
    assert decode(letter.value, RunStatus) == log.statuses()["job#r"]


def test_an_owner_with_an_unsteady_clock_waits_and_decides_no_occurrence() -> None:
    log = Log()
    log.define(schedule="* * * * * *")
    owner = log.recover()
    log.turn(owner)
    log.turn(owner, 1)
    owner.is_steady = False
    assert log.turn(owner, 5) is not None  # the watermark alone
    assert owner.next_wake(log.now) > timedelta(0)
    owner.is_steady = True
    assert owner.next_wake(log.now) == timedelta(0)


def test_a_transaction_holds_a_limited_number_of_payload_bytes() -> None:
    log = Log()
    log.define(payload="x" * 250_000, overlap_policy="allow_all")
    for number in range(200):
        log.request(f"r{number}")
    owner = log.recover()
    owner.learn(HeartbeatHeard(heartbeat=Scenario.heartbeat(log.now, 200), appended_at=log.now))
    sizes = []
    while len(log.dispatches()) < 200:
        prepared = log.turn(owner, 0.01)
        sizes.append(sum(len(each.value or b"") for each in prepared.records if each.dispatch) if prepared else 0)
    assert max(sizes) <= Bounds().payload_bytes + 300_000


def test_records_that_change_nothing_do_not_fill_a_transaction_for_seconds() -> None:
    """As those of a new snapshot: their bytes count, and no effect of theirs would be committed."""
    log = Log()
    log.bounds = Bounds(bytes=2_000)
    known = log.define()
    owner = log.recover()
    log.turn(owner)
    for _ in range(50):
        owner.offer(log.append_copy(known))
    turns = 0
    while owner.next_wake(log.now) == AT_ONCE and turns < 100:
        log.turn(owner, 0.001)
        turns += 1
    assert turns < 60
    log.request("after")
    owner.offer(log.inputs[CDC][-1])
    log.turn(owner, 0.001)
    assert "job#after" in log.statuses()
