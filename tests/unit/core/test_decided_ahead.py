"""A wrong clock was believed and put right: schedules are decided up to a time that is not reached yet."""

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
    """The next owner, that has the right time, of a log that was decided by a clock that was an hour ahead."""
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
    """The heartbeat of an executor that takes whatever comes."""
    return plain_heartbeat(now, windows=(Window(timeout_class="10s", partition=0, size=1_000),))


def nominal_times(log):
    return [status.nominal_time for status in log.statuses().values() if status.state is not RunState.MISSED]


def test_what_ran_early_does_not_run_again_and_schedules_go_on_when_that_time_is_reached():
    log, owner = an_hour_ahead()
    for _ in range(59):
        log.turn(owner, 60)
    assert len(nominal_times(log)) == 60
    log.turn(owner, 60)
    assert max(nominal_times(log)) == START + HOUR + MINUTE
    assert len(nominal_times(log)) == 61


def test_the_owner_rests_while_it_waits_for_that_time():
    log, owner = an_hour_ahead()
    for _ in range(3):
        log.turn(owner, 1)
    assert owner.next_wake(log.now) > timedelta(0)


def test_requests_run_meanwhile():
    log, owner = an_hour_ahead()
    owner.offer(log.request("r"))
    log.turn(owner)
    assert "job#r" in log.statuses()


def test_what_was_decided_early_and_a_job_that_is_new_start_at_their_own_times_and_once():
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
