"""Checkpoints as an owner hands them on: from the attempt that it listens to, to the next one of the same run."""

from __future__ import annotations

import pytest

from schemas.event import EndCause
from tests.support.simulated.log import Log, ended, started

FIRST, SECOND = "s3://b/checkpoints/job%23r/1.tar", "s3://b/checkpoints/job%23r/2.tar"


def attempted(log: Log, owner, cause: EndCause = EndCause.EXITED, exit_code: int = 1, **more: str):
    """The newest attempt starts and ends so; returns it."""
    dispatch = log.dispatches()[-1]
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, exit_code, cause, **more)))
    log.turn(owner, 0.1)
    log.turn(owner, 5)
    return dispatch


def found(log: Log) -> list[str | None]:
    return [each.checkpoint for each in log.dispatches()]


@pytest.mark.parametrize("cause", [EndCause.EXITED, EndCause.LIMIT, EndCause.STOPPED, EndCause.LEASE])
def test_the_next_attempt_finds_what_the_last_one_left(cause) -> None:
    log = Log()
    owner = log.dispatched(max_attempts=2)
    attempted(log, owner, cause, checkpoint=FIRST)
    assert found(log) == [None, FIRST]


def test_an_attempt_that_leaves_nothing_new_leaves_what_there_was() -> None:
    log = Log()
    owner = log.dispatched(max_attempts=9)
    attempted(log, owner, checkpoint=FIRST)
    attempted(log, owner)
    attempted(log, owner, checkpoint=SECOND)
    assert found(log) == [None, FIRST, FIRST, SECOND]


def test_a_late_attempt_does_not_replace_what_a_newer_one_finds() -> None:
    log = Log()
    owner = log.dispatched(max_attempts=9)
    old = attempted(log, owner, checkpoint=FIRST)
    owner.offer(log.report(ended(old, log.now, 1, checkpoint="s3://b/late")))
    attempted(log, owner)
    assert found(log) == [None, FIRST, FIRST]


def test_a_new_owner_knows_it() -> None:
    log = Log()
    attempted(log, log.dispatched(max_attempts=9), checkpoint=FIRST)
    attempted(log, log.recover())
    assert found(log) == [None, FIRST, FIRST]


def test_a_rerun_begins_without_one() -> None:
    log = Log()
    owner = log.dispatched()
    dispatch = attempted(log, owner, checkpoint=FIRST)
    owner.offer(log.request("again", kind="rerun", run_id=dispatch.run_id, nominal_time=dispatch.nominal_time))
    log.turn(owner, 1)
    assert found(log) == [None, None]


@pytest.mark.parametrize(
    ("cause", "exit_code", "reason"),
    [
        (EndCause.EXITED, 0, "too large"),
        (EndCause.EXITED, 3, "exit code 3; too large"),
        (EndCause.LIMIT, 0, "longer than 10s, goes on in 1m; too large"),
        (EndCause.STOPPED, 0, "its executor stopped; too large"),
    ],
)
def test_what_was_wrong_with_it_is_in_the_reason_of_the_attempt(cause, exit_code, reason) -> None:
    log = Log()
    owner = log.dispatched(max_attempts=2)
    attempted(log, owner, cause, exit_code, checkpoint_problem="too large")
    assert log.statuses()["job#r"].attempts[0].reason == reason
