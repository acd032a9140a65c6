"""Stream workers killed and frozen under load: each request still runs exactly once."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest

from schemas.ids import occurrence_run_id
from tests.support.steady_load import SteadyLoad, execution_script, executions, wait_for_duration
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

KILLS = 5
FULL_LOAD = 200
"""Requests per second."""
LIGHT_LOAD = 40
BETWEEN_KILLS = timedelta(seconds=3)
"""Shorter than a restart: the second worker is killed before the first is back."""
BEFORE_AND_AFTER = timedelta(seconds=3)
"""Time with both workers running."""
FREEZE = timedelta(seconds=20)
SECOND = timedelta(seconds=1)
CAPTURED_BY_THEN = timedelta(seconds=5)
BACKLOG = timedelta(seconds=60)
"""Five leases."""
WORKERS = ("stream-0", "stream-1")
MANY = 20
"""Runs that are open while all owners are frozen."""
CLOCKS = 4
"""Jobs that are due every second."""


@pytest.fixture
def clocks(stack, name, noting):
    found = [f"{name}clock{number}." for number in range(CLOCKS)]
    for each in found:
        schedule = {"schedule": "* * * * * *", "overlap_policy": "allow_all", "catchup_policy": "all"}
        stack.put_job(each, noting, timeout="10 s", **schedule)
    yield found
    stack.database.execute("delete from jobs where job_id = any (%s)", [found])


def stopped(stack, clocks):
    """Ends the schedules with an end time; returns the expected runs. A deletion would take effect at an unknown
    time.
    """
    ends = "update jobs set ends_at = date_trunc('second', clock_timestamp()) + %s where job_id = any (%s)"
    stack.database.execute(ends, [CAPTURED_BY_THEN, clocks])
    query = """
    select job_id, ends_at, (select min(valid_from) from definitions where owner = job_id) as begins_at
    from jobs where job_id = any (%s)
    """
    expected = []
    for row in stack.rows(query, [clocks]):
        at = row["begins_at"].replace(microsecond=0) + SECOND
        while at < row["ends_at"]:
            expected.append(occurrence_run_id(row["job_id"], at))
            at += SECOND
    return expected


def longest_gap(stack, jobs, killed_at):
    """The longest time without a start after `killed_at`, over jobs that are due every second."""
    query = """
    select max(gap) as gap from (
        select started_at, started_at - lag(started_at) over (partition by job_id order by started_at) as gap
        from runs where job_id = any (%s) and started_at is not null
    ) as each where started_at > %s
    """
    return stack.rows(query, [jobs, killed_at])[0]["gap"]


def test_each_request_runs_exactly_once_while_workers_are_killed_five_times(stack, jobs, clocks, verdict):
    begun_at = stack.now()
    with SteadyLoad(stack, jobs, FULL_LOAD) as load:
        wait_for_duration(stack, BEFORE_AND_AFTER)
        for number in range(KILLS):
            killed = f"stream-{number % 2}", stack.kill(f"stream-{number % 2}")
            wait_for_duration(stack, BETWEEN_KILLS)
        stack.wait_for_restart(*killed)
        wait_for_duration(stack, BEFORE_AND_AFTER)
    expected = [*load.accepted, *stopped(stack, clocks)]
    assert verdict(expected) == []
    print(f"longest gap of a job that is due every second: {longest_gap(stack, clocks, begun_at)}")


def test_workers_stopped_one_after_the_other_hand_over_and_each_request_runs_once(stack, jobs, clocks, verdict):
    begun_at = stack.now()
    logs = [stack.data / "logs" / f"{worker}.log" for worker in WORKERS]
    before = sum(each.read_text().count("owner_handed_over") for each in logs)
    with SteadyLoad(stack, jobs, LIGHT_LOAD) as load:
        wait_for_duration(stack, BEFORE_AND_AFTER)
        for worker in WORKERS:
            stack.wait_for_restart(worker, stack.signal(worker, signal.SIGTERM))
        wait_for_duration(stack, BEFORE_AND_AFTER)
    expected = [*load.accepted, *stopped(stack, clocks)]
    assert verdict(expected) == []
    handed_over = sum(each.read_text().count("owner_handed_over") for each in logs) - before
    # Each worker hands over all its partitions, and gets some back later.
    assert handed_over > stack.connections.partitions
    print(f"longest gap of a job that is due every second: {longest_gap(stack, clocks, begun_at)}")


def test_a_worker_frozen_for_20_seconds_changes_nothing_afterwards(stack, jobs, clocks, verdict):
    with SteadyLoad(stack, jobs, LIGHT_LOAD) as load:
        wait_for_duration(stack, BEFORE_AND_AFTER)
        stack.signal("stream-0", signal.SIGSTOP)
        frozen_at = stack.now()
        try:
            wait_for_duration(stack, FREEZE)
        finally:
            stack.signal("stream-0", signal.SIGCONT)
        wait_for_duration(stack, BEFORE_AND_AFTER)
    expected = [*load.accepted, *stopped(stack, clocks)]
    assert verdict(expected) == []
    print(f"longest gap of a job that is due every second: {longest_gap(stack, clocks, frozen_at)}")


def test_no_attempt_is_lost_while_all_owners_are_frozen_for_a_minute(stack, name, jobs, journal, verdict):
    """Events and heartbeats pile up while the executors work: that silence is the owners' own (protocol L3)."""
    lasting = stack.put_script(f"{name}lasting", f"{execution_script(journal)}; sleep {FREEZE.total_seconds()}")
    for job in jobs:
        stack.edit_job(job, executable=lasting, timeout="50 s")
    run_ids = [stack.request(job, f"{job}lasting") for job in jobs]
    eventually(lambda: len(executions(journal)) >= MANY, 60, "runs that run")
    for worker in WORKERS:
        stack.signal(worker, signal.SIGSTOP)
    try:
        wait_for_duration(stack, BACKLOG)
    finally:
        for worker in WORKERS:
            stack.signal(worker, signal.SIGCONT)
    assert verdict(run_ids) == []
