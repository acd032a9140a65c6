"""Expired dispatches are no attempts: they use up no limit of a run, and leave one entry in its history."""

from __future__ import annotations

from datetime import timedelta

from schemas.event import Expired
from schemas.status import MAX_ATTEMPTS, MAX_TRANSITIONS, RunStatus
from schemas.words import AttemptEnd, RunState
from streams.core.settings import CoreSettings
from tests.support.simulated.log import DrivenSession, Log, ended, started

S = timedelta(seconds=1)
VALID_FOR = CoreSettings().dispatch_valid_for
RETRIED = {"max_attempts": 3, "initial_interval": S, "retry_jitter": 0.0}


def expire(log: Log, owner: DrivenSession, times: int) -> None:
    """Lets the dispatch expire `times` times, as behind a long run: no executor claims it in time."""
    for _ in range(times):
        log.now += VALID_FOR + S
        dispatch = log.dispatches()[-1]
        expired = Expired(run_id=dispatch.run_id, attempt=dispatch.attempt, token=dispatch.token, at=log.now)
        owner.offer(log.report(expired))
        log.turn(owner)


def fail(log: Log, owner: DrivenSession, exit_code: int = 1) -> None:
    """Fails the attempt; a retry is dispatched, if there is one."""
    dispatch = log.dispatches()[-1]
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, exit_code)))
    log.turn(owner, 1)
    log.turn(owner, 5)
    log.turn(owner, 1)


def status(log: Log) -> RunStatus:
    return log.statuses()["job#r"]


def ends(log: Log) -> list[AttemptEnd | None]:
    return [attempt.end for attempt in status(log).attempts]


def test_the_retry_duration_starts_with_an_attempt_and_not_with_an_expired_dispatch() -> None:
    log = Log()
    owner = log.dispatched(**RETRIED, max_retry_duration=300 * S)
    expire(log, owner, 6)
    fail(log, owner)
    assert status(log).state is RunState.QUEUED
    assert len(log.dispatches()) == 8


def test_the_retry_duration_still_counts_from_the_first_attempt_when_a_later_dispatch_expires() -> None:
    log = Log()
    owner = log.dispatched(**RETRIED, max_retry_duration=300 * S)
    fail(log, owner)
    expire(log, owner, 6)
    fail(log, owner)
    assert status(log).state is RunState.DEAD
    assert "no attempt begins later" in (status(log).reason or "")


def test_expired_dispatches_use_no_attempts() -> None:
    log = Log()
    owner = log.dispatched(**RETRIED)
    for _ in range(3):
        expire(log, owner, 4)
        fail(log, owner)
    assert status(log).state is RunState.DEAD
    assert (status(log).reason or "").endswith("all 3 attempts are used up")


def test_consecutive_expired_dispatches_are_one_entry_with_a_count() -> None:
    log = Log()
    owner = log.dispatched(**RETRIED)
    fail(log, owner, exit_code=7)
    expire(log, owner, 25)
    failed, expired, open_ = status(log).attempts
    assert (failed.exit_code, failed.attempt) == (7, 1)
    assert (expired.attempt, expired.end) == (26, AttemptEnd.EXPIRED)
    assert expired.reason == "no executor took it in time, 25 times in a row"
    assert (open_.attempt, open_.end) == (27, None)


def test_the_transitions_of_consecutive_expired_dispatches_are_folded_too() -> None:
    log = Log()
    owner = log.dispatched(**RETRIED)
    fail(log, owner, exit_code=7)
    before = status(log).transitions
    expire(log, owner, MAX_TRANSITIONS)
    assert status(log).transitions[: len(before)] == before
    (last,) = status(log).transitions[len(before) :]
    assert (last.state, last.reason) == (RunState.QUEUED, status(log).attempts[-2].reason)


def test_the_count_of_expired_dispatches_survives_a_takeover_and_restarts_after_an_attempt() -> None:
    log = Log()
    owner = log.dispatched(**RETRIED)
    expire(log, owner, 2)
    expire(log, log.recover(), 1)
    owner = log.recover()
    fail(log, owner)
    expire(log, owner, 2)
    reasons = [each.reason for each in status(log).attempts if each.end is AttemptEnd.EXPIRED]
    assert [(reason or "").rpartition(", ")[2] for reason in reasons] == ["3 times in a row", "2 times in a row"]


def test_dispatches_that_expire_after_many_attempts_do_not_stop_the_job() -> None:
    """The history of 20 attempts has no room for the first of them."""
    log = Log()
    owner = log.dispatched(max_attempts=40, initial_interval=S, backoff_coefficient=1.0, retry_jitter=0.0)
    for _ in range(MAX_ATTEMPTS):
        fail(log, owner)
    expire(log, owner, 3)
    fail(log, owner)
    assert ends(log)[-2:] == [AttemptEnd.FAILED, None]
    assert log.statuses()["job#r"].attempt == MAX_ATTEMPTS + 5


def test_tokens_and_attempt_numbers_increase_across_folded_entries() -> None:
    log = Log()
    owner = log.dispatched(**RETRIED)
    expire(log, owner, 5)
    dispatches = log.dispatches()
    assert [each.attempt for each in dispatches] == [1, 2, 3, 4, 5, 6]
    assert sorted({each.token for each in dispatches}) == [each.token for each in dispatches]


def test_executed_attempts_are_kept_longer_than_expired_ones() -> None:
    log = Log()
    owner = log.dispatched(**{**RETRIED, "max_attempts": 100})
    for _ in range(MAX_ATTEMPTS - 2):
        expire(log, owner, 1)
        fail(log, owner)
    assert len(status(log).attempts) == MAX_ATTEMPTS
    assert ends(log).count(AttemptEnd.FAILED) == MAX_ATTEMPTS - 2


def test_an_expired_dispatch_keeps_the_turn_of_its_run() -> None:
    log = Log()
    log.define()
    log.request("first")
    owner = log.recover(settings=CoreSettings(probe_window=1))
    log.turn(owner)
    log.turn(owner, 1)
    owner.offer(log.request("second"))
    log.turn(owner)
    expire(log, owner, 1)
    assert [each.run_id for each in log.dispatches()] == ["job#first", "job#first"]
