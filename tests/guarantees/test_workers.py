"""Stream workers under fire: killed and frozen while requests come in, each of which still runs exactly once."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest

from schemas.ids import occurrence_run_id
from tests.support.steady_load import Load, executions, note_script, passed
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

KILLS = 5
FULL_LOAD = 200
"""Requests a second."""
LIGHT_LOAD = 40
BETWEEN_KILLS = timedelta(seconds=3)
"""Shorter than a restart: the other worker dies before the first one is back."""
BEFORE_AND_AFTER = timedelta(seconds=3)
"""Of work with both workers."""
FREEZE = timedelta(seconds=20)
SECOND = timedelta(seconds=1)
CAPTURED_BY_THEN = timedelta(seconds=5)
BACKLOG = timedelta(seconds=60)
"""Five leases."""
WORKERS = ("stream-0", "stream-1")
MANY = 20
"""Runs that are under way when nobody looks."""
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
    """Lets them end soon: the runs that they had to have. A deletion would end them whenever it is captured."""
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
    """Of any of these jobs that are due every second: its longest time without a start from then on."""
    query = """
    select max(gap) as gap from (
        select started_at, started_at - lag(started_at) over (partition by job_id order by started_at) as gap
        from runs where job_id = any (%s) and started_at is not null
    ) as each where started_at > %s
    """
    return stack.rows(query, [jobs, killed_at])[0]["gap"]


def test_killed_five_times_at_200_requests_a_second_each_request_runs_exactly_once(stack, jobs, clocks, verdict):
    begun_at = stack.now()
    with Load(stack, jobs, FULL_LOAD) as load:
        passed(stack, BEFORE_AND_AFTER)
        for number in range(KILLS):
            killed = f"stream-{number % 2}", stack.kill(f"stream-{number % 2}")
            passed(stack, BETWEEN_KILLS)
        stack.restarted(*killed)
        passed(stack, BEFORE_AND_AFTER)
    expected = [*load.accepted, *stopped(stack, clocks)]
    assert verdict(expected) == []
    print(f"longest gap of a job that is due every second: {longest_gap(stack, clocks, begun_at)}")


def test_stopped_as_planned_one_after_the_other_the_workers_hand_over_and_each_request_runs_once(
    stack, jobs, clocks, verdict
):
    begun_at = stack.now()
    logs = [stack.data / "logs" / f"{worker}.log" for worker in WORKERS]
    before = sum(each.read_text().count("owner_handed_over") for each in logs)
    with Load(stack, jobs, LIGHT_LOAD) as load:
        passed(stack, BEFORE_AND_AFTER)
        for worker in WORKERS:
            stack.restarted(worker, stack.signal(worker, signal.SIGTERM))
        passed(stack, BEFORE_AND_AFTER)
    expected = [*load.accepted, *stopped(stack, clocks)]
    assert verdict(expected) == []
    handed_over = sum(each.read_text().count("owner_handed_over") for each in logs) - before
    # Each worker hands all of its partitions over, and gets some back from the other one.
    assert handed_over > stack.connections.partitions
    print(f"longest gap of a job that is due every second: {longest_gap(stack, clocks, begun_at)}")


def test_frozen_for_20_seconds_and_awake_again_a_worker_changes_nothing(stack, jobs, clocks, verdict):
    with Load(stack, jobs, LIGHT_LOAD) as load:
        passed(stack, BEFORE_AND_AFTER)
        stack.signal("stream-0", signal.SIGSTOP)
        frozen_at = stack.now()
        try:
            passed(stack, FREEZE)
        finally:
            stack.signal("stream-0", signal.SIGCONT)
        passed(stack, BEFORE_AND_AFTER)
    expected = [*load.accepted, *stopped(stack, clocks)]
    assert verdict(expected) == []
    print(f"longest gap of a job that is due every second: {longest_gap(stack, clocks, frozen_at)}")


def test_what_no_owner_could_judge_for_a_minute_is_not_lost(stack, name, jobs, journal, verdict):
    """Events and heartbeats pile up while the executors work: that silence is the owners' own (protocol L3)."""
    lasting = stack.put_script(f"{name}lasting", f"{note_script(journal)}; sleep {FREEZE.total_seconds()}")
    for job in jobs:
        stack.edit_job(job, executable=lasting, timeout="50 s")
    run_ids = [stack.request(job, f"{job}lasting") for job in jobs]
    eventually(lambda: len(executions(journal)) >= MANY, 60, "runs that run")
    for worker in WORKERS:
        stack.signal(worker, signal.SIGSTOP)
    try:
        passed(stack, BACKLOG)
    finally:
        for worker in WORKERS:
            stack.signal(worker, signal.SIGCONT)
    assert verdict(run_ids) == []
