"""Codes: of how an attempt ended, and of the run that ends with it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.event import EndCause, Expired, Rejected
from schemas.reasons import ReasonCode
from schemas.result import Result
from schemas.topics import DEADLETTER
from schemas.words import RunState
from tests.support.raw_json import raw
from tests.support.simulated.log import Log, ended, started


@pytest.mark.parametrize(
    ("cause", "exit_code", "facts", "code"),
    [
        (EndCause.EXITED, 0, {}, None),
        (EndCause.EXITED, 3, {}, ReasonCode.EXIT_CODE),
        (EndCause.EXITED, 255, {}, ReasonCode.EXIT_CODE),
        (EndCause.EXITED, 139, {}, ReasonCode.SIGNAL),
        (EndCause.EXITED, -9, {}, ReasonCode.SIGNAL),
        (EndCause.EXITED, 137, {"memory_problem": "killed"}, ReasonCode.OUT_OF_MEMORY),
        (EndCause.EXITED, 137, {"disk_problem": "10 MB"}, ReasonCode.DISK_FULL),
        (EndCause.EXITED, 254, {"pids_problem": "20 at once"}, ReasonCode.TOO_MANY_PROCESSES),
        (EndCause.EXITED, 137, {"pids_problem": "20", "memory_problem": "killed"}, ReasonCode.OUT_OF_MEMORY),
        (EndCause.EXITED, 0, {"pids_problem": "20 at once"}, ReasonCode.TOO_MANY_PROCESSES),
        (EndCause.EXITED, 0, {"result_problem": "it is no JSON"}, ReasonCode.INVALID_RESULT),
        (EndCause.EXITED, 0, {"result_lost": "S3 is away"}, ReasonCode.RESULT_LOST),
        (EndCause.EXITED, 0, {"result_refused": "S3 refuses it"}, ReasonCode.RESULT_LOST),
        (EndCause.EXITED, 0, {"checkpoint_problem": "too large"}, ReasonCode.CHECKPOINT_PROBLEM),
        (EndCause.EXITED, 0, {"memory_problem": "a child was killed"}, ReasonCode.OUT_OF_MEMORY),
        (EndCause.LIMIT, None, {}, ReasonCode.PROMOTED),
        (EndCause.LEASE, None, {}, ReasonCode.LEASE_EXPIRED),
        (EndCause.STOPPED, None, {}, ReasonCode.EXECUTOR_STOPPED),
        (EndCause.CANCELLED, None, {}, ReasonCode.KILLED_BY_OTHER),
    ],
)
def test_the_end_of_a_process_has_a_code(cause, exit_code, facts, code) -> None:
    log = Log()
    owner = log.dispatched(max_attempts=2)
    (dispatch,) = log.dispatches()
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, exit_code, cause, **facts)))
    log.turn(owner)
    assert log.statuses()["job#r"].attempts[0].reason_code is code


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (lambda identity: Rejected(**identity, reason="no such object"), ReasonCode.REJECTED),
        (lambda identity: Expired(**identity), ReasonCode.EXPIRED),
    ],
)
def test_an_attempt_that_never_was_a_process_has_a_code(event, code) -> None:
    log = Log()
    owner = log.dispatched()
    (dispatch,) = log.dispatches()
    identity = {"run_id": dispatch.run_id, "attempt": dispatch.attempt, "token": dispatch.token, "at": log.now}
    owner.offer(log.report(event(identity)))
    log.turn(owner)
    status = log.statuses()["job#r"]
    assert (status.attempts[0].reason_code, status.transitions[-1].reason_code) == (code, code)


def test_a_run_that_is_given_up_has_the_code_of_its_last_attempt() -> None:
    log = Log()
    owner = log.dispatched(max_attempts=2)
    for exit_code in (3, 139):
        dispatch = log.dispatches()[-1]
        owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, exit_code)))
        log.turn(owner)
        log.turn(owner, 5)
    status = log.statuses()["job#r"]
    assert (status.state, status.reason_code) == (RunState.DEAD, ReasonCode.SIGNAL)
    assert [each.reason_code for each in status.attempts] == [ReasonCode.EXIT_CODE, ReasonCode.SIGNAL]


def test_what_succeeds_has_no_reason() -> None:
    log = Log()
    owner = log.dispatched()
    (dispatch,) = log.dispatches()
    result = Result(bytes=1, value=raw(1))
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, result=result)))
    log.turn(owner)
    status = log.statuses()["job#r"]
    assert (status.state, status.reason, status.reason_code) == (RunState.SUCCEEDED, None, None)


def test_an_occurrence_that_is_skipped_for_another_names_that_one() -> None:
    log = Log()
    log.define(schedule="@every 10s", overlap_policy="skip")
    owner = log.recover()
    log.turn(owner)
    log.turn(owner, 10)
    log.turn(owner, 10)
    first, second = (log.statuses()[each] for each in sorted(log.statuses()))
    assert (second.reason_code, second.blocked_by) == (ReasonCode.OVERLAP_SKIPPED, first.run_id)
    assert (first.state, first.blocked_by) == (RunState.QUEUED, None)


def test_what_an_attempt_left_running_is_an_alert_whatever_became_of_the_attempt() -> None:
    log = Log()
    owner = log.dispatched()
    (dispatch,) = log.dispatches()
    owner.offer(log.report(ended(dispatch, log.now, 0, left_problem="1 of its processes did not end: 4711 (sh)")))
    log.turn(owner)
    status = log.statuses()["job#r"]
    assert (status.state, status.attempts[0].reason_code) == (RunState.SUCCEEDED, None)
    (alert,) = (dict(each.headers) for each in log.written if each.topic == DEADLETTER)
    assert (alert["kind"], alert["code"]) == (b"alert", b"processes_left")
    assert b"'job#r'" in alert["reason"]
    assert alert["reason"].endswith(b"4711 (sh)")


def test_the_reason_of_a_timeout_names_the_limits_that_it_met_before() -> None:
    log = Log()
    owner = log.dispatched(timeout=timedelta(seconds=5), promote=False)
    (dispatch,) = log.dispatches()
    facts = {"pids_problem": "it had pids = 20", "checkpoint_problem": "no checkpoint"}
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, 143, EndCause.LIMIT, **facts)))
    log.turn(owner)
    attempt = log.statuses()["job#r"].attempts[0]
    assert attempt.reason_code is ReasonCode.TIMED_OUT
    assert attempt.reason == "timed out after 0:00:05; it had pids = 20; no checkpoint"
