"""Many definitions at once are cheap, and due work continues between them."""

from __future__ import annotations

import random
from datetime import timedelta

from schemas.job import JobSpec
from schemas.words import RunState
from streams.core.room import MICROSECONDS_OF_A_DEFINITION, Bounds
from streams.core.schedule.timers import SEARCHES_OF_A_QUESTION, Timers, timer_of
from streams.owner.limits import Limits
from tests.support.simulated.log import START, Log

SCHEDULES = ("0 3 * * *", "*/5 * * * *", "@every 90s", "30 0 1 1 *", "@at 2026-03-01T12:00:30Z")
MANY = 500
MINUTE = timedelta(minutes=1)
AT_ONCE = timedelta(0)


def job(number: int, schedule: str, **fields: object) -> JobSpec:
    return JobSpec(job_id=f"j{number}", executable="s3://tidemill/x", schedule=schedule, **fields)


def test_definitions_with_one_schedule_search_it_once() -> None:
    log = Log()
    owner = log.recover()
    log.turn(owner)
    for number in range(MANY):
        owner.offer(log.define(job_id=f"j{number}", schedule=f"{number % 5} 3 * * *"))
    log.now += timedelta(seconds=20)
    while owner.backlog:
        log.turn(owner)
    timers = list(owner.state.derived.timers)
    assert sum(len(each.members) for each in timers) == MANY
    assert [each.searched for each in timers] == [SEARCHES_OF_A_QUESTION] * 5


def test_a_timer_is_quiet_exactly_where_nothing_is_due() -> None:
    seeded = random.Random(7)
    for _ in range(20):
        timers, now = Timers(), START
        for number in range(60):
            now += timedelta(seconds=seeded.choice((0, 1, 7, 100)))
            starts_at = seeded.choice((None, START - 30 * MINUTE))
            asked = job(number, seeded.choice(SCHEDULES), starts_at=starts_at)
            after = now - timedelta(seconds=seeded.choice((0, 1, 30, 400)))
            count = timer_of(asked).count(after, now, 10) if after < now else 0
            assert timers.is_quiet(asked, after, now) is (count == 0)
            if seeded.random() < 0.7:
                timers.add(asked, now)
            for timer in timers.take_due(now):
                timers.advance(timer, now)
            for timer in timers:
                assert timer.next_time == timer.next_after(now)


def test_occurrences_due_before_their_definition_was_read_run() -> None:
    """Other jobs of the same schedule were defined before and after it."""
    log = Log()
    owner = log.recover()
    for number in range(3):
        owner.offer(log.define(job_id=f"j{number}", schedule="@every 10s", misfire_grace=timedelta(hours=1)))
        log.now += timedelta(seconds=4)
    log.turn(owner, 14)
    for _ in range(5):
        log.turn(owner)
    due = {
        (each.job_id, int((each.nominal_time - START).total_seconds()))
        for each in log.statuses().values()
        if each.state is not RunState.MISSED
    }
    assert due == {("j0", 10), ("j1", 10), ("j2", 10), ("j0", 20), ("j1", 20), ("j2", 20)}


def test_due_work_is_checked_between_slices_of_definitions() -> None:
    log = Log()
    owner = log.recover()
    log.turn(owner)
    for number in range(MANY):
        owner.offer(log.define(job_id=f"j{number}"))
    jobs = owner.state.durable.jobs
    while len(jobs) < MANY:
        before = len(jobs)
        log.turn(owner, 0.02)
        assert owner.state.durable.watermark == log.now
        assert len(jobs) - before <= Bounds().slice_us // MICROSECONDS_OF_A_DEFINITION


def test_a_bulk_change_takes_few_transactions_and_its_last_definition_does_not_wait() -> None:
    log = Log()
    owner = log.recover()
    log.turn(owner)
    for number in range(MANY):
        owner.offer(log.define(job_id=f"j{number}"))
    commits = sum(log.turn(owner, 0.001, patience=AT_ONCE) is not None for _ in range(MANY // 5))
    assert commits == 1
    assert owner.backlog == 0


def test_a_long_bulk_change_is_written_in_parts() -> None:
    log = Log()
    owner = log.recover()
    log.turn(owner)
    for number in range(MANY):
        owner.offer(log.define(job_id=f"j{number}"))
    log.turn(owner, patience=AT_ONCE)
    assert log.turn(owner, Limits().bulk_wait.total_seconds(), patience=AT_ONCE)
    assert owner.backlog > 0


def test_an_occurrence_due_during_a_bulk_change_is_written_at_once() -> None:
    log = Log()
    log.define(job_id="due", schedule="*/5 * * * * *")
    owner = log.recover()
    log.turn(owner)
    for number in range(MANY):
        owner.offer(log.define(job_id=f"j{number}"))
    assert log.turn(owner, 0.001, patience=AT_ONCE) is None
    assert log.turn(owner, 5, patience=AT_ONCE)
    assert [each.run_id.partition("@")[0] for each in log.dispatches()] == ["due"]
    assert owner.backlog > 0


def test_unwritten_definitions_of_a_bulk_change_are_read_again_after_a_crash() -> None:
    log = Log()
    owner = log.recover()
    log.turn(owner)
    for number in range(MANY):
        owner.offer(log.define(job_id=f"j{number}"))
    assert log.turn(owner, patience=AT_ONCE) is None
    assert owner.state.durable.jobs
    after = log.recover()
    assert not after.state.durable.jobs
    for _ in range(MANY // 5):
        log.turn(after, 0.001)
    assert len(after.state.durable.jobs) == MANY
