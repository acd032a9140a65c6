"""A wrong clock was trusted and then corrected: schedules are decided up to a time in the future."""

from __future__ import annotations

from datetime import timedelta

from schemas.heartbeat import Window
from schemas.words import RunState
from streams.core.inputs import HeartbeatHeard
from tests.support.simulated.heartbeats import heartbeat as plain_heartbeat
from tests.support.simulated.log import START, Log

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
MINUTELY = {"schedule": "* * * * *", "overlap_policy": "allow_all", "catchup_policy": "all"}


def an_hour_ahead():
    """An owner with the right time, on a log decided by a clock an hour ahead."""
    log = Log()
    log.define(1, **MINUTELY)
    owner = log.recover()
    log.turn(owner)
    log.now = START + HOUR
    log.turn(owner)
    assert len(nominal_times(log)) == 60
    log.now = START + MINUTE
    return log, log.recover()


def roomy(now):
    """The heartbeat of an executor with many free slots."""
    return plain_heartbeat(now, windows=(Window(timeout_class="10s", partition=0, size=1_000),))


def nominal_times(log):
    return [status.nominal_time for status in log.statuses().values() if status.state is not RunState.MISSED]


def test_early_runs_are_not_repeated_and_schedules_continue_at_the_decided_time():
    log, owner = an_hour_ahead()
    for _ in range(59):
        log.turn(owner, 60)
    assert len(nominal_times(log)) == 60
    log.turn(owner, 60)
    assert max(nominal_times(log)) == START + HOUR + MINUTE
    assert len(nominal_times(log)) == 61


def test_the_owner_is_idle_until_the_decided_time():
    log, owner = an_hour_ahead()
    for _ in range(3):
        log.turn(owner, 1)
    assert owner.next_wake(log.now) > timedelta(0)


def test_requests_run_before_the_decided_time():
    log, owner = an_hour_ahead()
    owner.offer(log.request("r"))
    log.turn(owner)
    assert "job#r" in log.statuses()


def test_early_decisions_and_new_jobs_start_once_at_their_own_times():
    log, owner = an_hour_ahead()
    early = len(log.dispatches())
    owner.offer(log.define(2, job_id="new", **MINUTELY))
    log.turn(owner, 1)
    for _ in range(65):
        owner.learn(HeartbeatHeard(heartbeat=roomy(log.now), appended_at=log.now))
        log.turn(owner, 60)
        assert all(each.scheduled_time <= log.now for each in log.dispatches()[early:])
    owner.learn(HeartbeatHeard(heartbeat=roomy(log.now), appended_at=log.now))
    log.turn(owner, 1)
    started = [each.run_id for each in log.dispatches()]
    assert len(started) == len(set(started)) == len(log.statuses())
    assert len([each for each in started if each.startswith("new@")]) == 65
