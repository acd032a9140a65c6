"""Catch-up runs after live work, within the rates of a job and of a partition."""

from __future__ import annotations

from datetime import timedelta

import pytest

from streams.core.inputs import HeartbeatHeard
from streams.core.runs.pace import BURST
from streams.core.settings import CoreSettings
from streams.owner.owner import Owner
from tests.support.simulated.log import BATCH_WAIT, Log, ended, started
from tests.support.simulated.scenario import Scenario

DOWN = 3_600
A_MINUTE = 60


def after_downtime(log: Log, room: int = 10_000) -> Owner:
    """An owner after an hour of downtime, with a job that is due every second."""
    log.define(
        schedule="* * * * * *", overlap_policy="allow_all", catchup_policy="all", misfire_grace=timedelta(seconds=1)
    )
    log.turn(log.recover())
    log.now += timedelta(seconds=DOWN)
    owner = log.recover()
    hear(log, owner, room)
    log.turn(owner)
    while owner.state.durable.cursor:
        log.turn(owner)
    return owner


def hear(log: Log, owner: Owner, room: int) -> None:
    owner.learn(HeartbeatHeard(heartbeat=Scenario.heartbeat(log.now, room), appended_at=log.now))


def lateness(log: Log) -> list[bool]:
    return [dispatch.nominal_time < log.now - timedelta(seconds=60) for dispatch in log.dispatches()]


def test_a_job_catches_up_at_its_rate_and_the_next_owner_keeps_it() -> None:
    log = Log()
    owner = after_downtime(log)
    for _ in range(A_MINUTE):
        log.now += timedelta(seconds=1)
        owner = log.recover()
        hear(log, owner, 10_000)
        log.turn(owner)
    assert sum(lateness(log)) == pytest.approx(CoreSettings().catchup_rate_per_job, abs=2)


def test_a_partition_catches_up_at_its_rate_however_much_is_due() -> None:
    log = Log()
    owner = after_downtime(log)
    owner.state.settings = CoreSettings(catchup_rate_per_partition=60)
    before = len(log.dispatches())
    for _ in range(A_MINUTE):
        hear(log, owner, 10_000)
        log.turn(owner, 1)
    caught_up = sum(lateness(log)) - before
    assert caught_up == pytest.approx(60, abs=BURST.total_seconds() + 1)


def test_an_owner_wakes_up_when_the_catch_up_rate_allows_more() -> None:
    log = Log()
    owner = after_downtime(log)
    owner.state.settings = CoreSettings(catchup_rate_per_partition=60)
    log.turn(owner, 0.5)
    log.turn(owner, 0.1)
    assert timedelta(0) < owner.next_wake(log.now) <= timedelta(seconds=1)


def test_live_work_is_dispatched_before_catch_up() -> None:
    log = Log()
    owner = after_downtime(log, room=1)
    (first,) = log.dispatches()
    log.turn(owner, 1)
    owner.offer(log.report(started(first, log.now), ended(first, log.now)))
    log.turn(owner)
    _, second = log.dispatches()
    assert log.now - second.nominal_time <= timedelta(seconds=2) + BATCH_WAIT


def test_a_resume_runs_at_most_resume_limit_occurrences_and_records_the_rest() -> None:
    log = Log()
    every_second = {"schedule": "* * * * * *", "overlap_policy": "allow_all", "catchup_after_pause": "all"}
    log.define(paused=True, **every_second)
    owner = log.recover()
    log.turn(owner)
    log.now += timedelta(seconds=DOWN)
    owner.offer(log.define(2, **every_second))
    log.turn(owner)
    (rest,) = [status for status in log.statuses().values() if status.missed]
    limit = CoreSettings().resume_limit
    assert len(log.statuses()) == limit + 1
    assert (rest.missed.count, rest.missed.last) == (DOWN - limit, log.now)
    assert rest.reason == "more than 1000 occurrences of a pause; request a backfill for the rest"
