"""Executors killed and frozen with running attempts: each run has at most one live attempt."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest

from schemas.words import AttemptEnd
from tests.support.steady_load import SteadyLoad, alive_script, wait_for_duration
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

LOAD = 100
"""Requests per second."""
CLAIMED_BEFORE_A_KILL = 150
LONG_RUNS = 8
LONG_TICKS = 55
"""Eleven seconds: longer than a lease minus its margin."""
FREEZE = timedelta(seconds=60)
"""Five leases, and longer than the session timeout of its group."""
LOST = {AttemptEnd.LOST}


@pytest.fixture
def long_runs(stack, name, journal):
    """Starts long runs that write ticks to the journal; returns their ids once all run."""
    stack.put_job(name, stack.put_script(name, alive_script(journal, LONG_TICKS)), timeout="50 s")
    found = [stack.request(name, f"{name}{number}") for number in range(LONG_RUNS)]
    for run_id in found:
        stack.wait_for_state(run_id, "running")
    return found


def holder(stack, run_ids):
    """The executor with the most of these runs, and those runs."""
    held = {}
    for run_id in run_ids:
        held.setdefault(stack.run(run_id)["executor_id"].partition(".")[0], []).append(run_id)
    return max(held.items(), key=lambda each: len(each[1]))


def ended_count(stack, name):
    return stack.rows("select count(*) as n from runs where starts_with(job_id, %s) and state = 'succeeded'", [name])[
        0
    ]["n"]


def test_an_executor_killed_while_it_claims_loses_no_request(stack, name, jobs, verdict):
    with SteadyLoad(stack, jobs, LOAD) as load:
        for victim in ("executor-0", "executor-1"):
            before = ended_count(stack, name)
            eventually(lambda: ended_count(stack, name) > before + CLAIMED_BEFORE_A_KILL, 60, "runs under way")  # noqa: B023 - called here
            stack.wait_for_restart(victim, stack.kill(victim))
    assert verdict(load.accepted, LOST) == []


def test_an_executor_frozen_for_a_minute_changes_nothing_afterwards(stack, long_runs, all_ended, broken):
    victim, held = holder(stack, long_runs)
    stack.signal(victim, signal.SIGSTOP)
    try:
        wait_for_duration(stack, FREEZE)
        assert all(stack.run(run_id)["attempt"] > 1 for run_id in held)
    finally:
        stack.signal(victim, signal.SIGCONT)
    all_ended(long_runs)
    assert broken(long_runs, LOST) == []
    for run_id in held:
        lost, again = stack.attempts(run_id)
        assert (lost["ended_as"], again["ended_as"]) == ("lost", "succeeded")
        assert lost["executor_id"].startswith(f"{victim}.")
        assert not again["executor_id"].startswith(f"{victim}.")
