"""An owner passes the checkpoint of a run's valid attempt to the next attempt."""

from __future__ import annotations

import pytest

from schemas.event import EndCause
from tests.support.simulated.log import Log, ended, started

FIRST, SECOND = "s3://b/checkpoints/job%23r/1.tar", "s3://b/checkpoints/job%23r/2.tar"


def attempted(log: Log, owner, cause: EndCause = EndCause.EXITED, exit_code: int = 1, **more: str):
    """Starts and ends the newest attempt; returns its dispatch."""
    dispatch = log.dispatches()[-1]
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, exit_code, cause, **more)))
    log.turn(owner, 0.1)
    log.turn(owner, 5)
    return dispatch


def found(log: Log) -> list[str | None]:
    return [each.checkpoint for each in log.dispatches()]


@pytest.mark.parametrize("cause", [EndCause.EXITED, EndCause.LIMIT, EndCause.STOPPED, EndCause.LEASE])
def test_the_next_attempt_gets_the_checkpoint_of_the_last_one(cause) -> None:
    log = Log()
    owner = log.dispatched(max_attempts=2)
    attempted(log, owner, cause, checkpoint=FIRST)
    assert found(log) == [None, FIRST]


def test_an_attempt_without_a_new_checkpoint_keeps_the_old_one() -> None:
    log = Log()
    owner = log.dispatched(max_attempts=9)
    attempted(log, owner, checkpoint=FIRST)
    attempted(log, owner)
    attempted(log, owner, checkpoint=SECOND)
    assert found(log) == [None, FIRST, FIRST, SECOND]


def test_a_late_attempt_does_not_replace_the_checkpoint_of_a_newer_one() -> None:
    log = Log()
    owner = log.dispatched(max_attempts=9)
    old = attempted(log, owner, checkpoint=FIRST)
    owner.offer(log.report(ended(old, log.now, 1, checkpoint="s3://b/late")))
    attempted(log, owner)
    assert found(log) == [None, FIRST, FIRST]


def test_a_checkpoint_survives_a_takeover() -> None:
    log = Log()
    attempted(log, log.dispatched(max_attempts=9), checkpoint=FIRST)
    attempted(log, log.recover())
    assert found(log) == [None, FIRST, FIRST]


def test_a_rerun_starts_without_a_checkpoint() -> None:
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
def test_a_checkpoint_error_is_in_the_reason_of_the_attempt(cause, exit_code, reason) -> None:
    log = Log()
    owner = log.dispatched(max_attempts=2)
    attempted(log, owner, cause, exit_code, checkpoint_problem="too large")
    assert log.statuses()["job#r"].attempts[0].reason == reason
