"""Parts killed with runs in every state: waiting runs continue, running ones are retried, cancelled ones stay
cancelled.
"""

from __future__ import annotations

import itertools
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from operator import attrgetter

import pytest

from executors.orphans import children
from schemas.codec import decode
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.ids import RunId, request_run_id
from schemas.partition import partition_of
from schemas.topics import EXECUTORS
from schemas.words import AttemptEnd
from tests.support.steady_load import alive_script
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

CLASS, TIMEOUT = "1m", "50 s"
PAUSE = timedelta(seconds=15)
"""The time to the due time of queued runs and to retries: long after the kill."""
FEW_TICKS, SHORT_TICKS, LONG_TICKS = 2, 40, 240
"""In units of 0.2 s: a running process outlasts the kill; a cancelled one outlasts its grace."""
CANCEL_GRACE = timedelta(seconds=15)
READY_SECONDS = 60
EXCUSED = {AttemptEnd.LOST, AttemptEnd.FAILED}

KILLED_EXECUTORS = {
    "queued": ("succeeded", ["succeeded"]),
    "fetching": ("succeeded", ["lost", "succeeded"]),
    "running": ("succeeded", ["lost", "succeeded"]),
    "retry_wait": ("succeeded", ["failed", "succeeded"]),
    "cancelling": ("cancelled", ["lost"]),
}
KILLED_WORKERS = {
    "queued": ("succeeded", ["succeeded"]),
    "fetching": ("succeeded", ["succeeded"]),
    "running": ("succeeded", ["succeeded"]),
    "retry_wait": ("succeeded", ["failed", "succeeded"]),
    "cancelling": ("cancelled", ["cancelled"]),
}
"""State at the kill -> final state and the ends of the attempts."""


@dataclass(frozen=True)
class Asked:
    state: str
    job_id: str

    @property
    def run_id(self) -> RunId:
        return request_run_id(self.job_id, f"{self.job_id}r")


@pytest.fixture
def planned(stack, name, journal):
    """For every state one run per executor; its job exists, its request does not yet."""
    brief = alive_script(journal, FEW_TICKS)
    scripts = {
        "queued": brief,
        "fetching": f"{brief}\n# which no cache holds",
        "running": alive_script(journal, SHORT_TICKS),
        "retry_wait": f'[ "$TIDEMILL_ATTEMPT" -gt 1 ] || exit 1\n{brief}',
        "cancelling": f"trap '' TERM\n{alive_script(journal, LONG_TICKS)}",
    }
    columns = {"timeout": TIMEOUT, "max_attempts": 2, "initial_interval": PAUSE, "cancel_grace": CANCEL_GRACE}
    held = eventually(lambda: all_held(stack), READY_SECONDS, f"every partition of {CLASS} held")
    found = [
        Asked(state=state, job_id=job_in(stack, f"{name}{state}", partitions))
        for partitions, state in itertools.product(held, scripts)
    ]
    for each in found:
        stack.put_job(each.job_id, stack.put_script(each.job_id, scripts[each.state]), **columns)
    return found


def all_held(stack):
    """The partitions that each executor holds, once all are assigned."""
    heard = [decode(each.value(), Heartbeat) for each in stack.read(EXECUTORS) if each.value()]
    heard.sort(key=attrgetter("at"))
    last = {each.name: each for each in heard if each.state is ExecutorState.RUNNING}
    held = [{each.partition for each in beat.windows if each.timeout_class == CLASS} for beat in last.values()]
    return all(held) and sum(map(len, held)) == stack.connections.partitions and held


def job_in(stack, prefix, partitions):
    names = (f"{prefix}{number}." for number in itertools.count())
    return next(each for each in names if partition_of(each, stack.connections.partitions) in partitions)


def ask(stack, planned, *states, **columns):
    found = [each for each in planned if each.state in states]
    for each in found:
        stack.request(each.job_id, f"{each.job_id}r", **columns)
    return found


@contextmanager
def all_under_way(stack, planned):
    """Brings each run into its state. S3 is frozen meanwhile, so that fetches do not end."""
    running, failing = ask(stack, planned, "running", "cancelling"), ask(stack, planned, "retry_wait")
    for each in running:
        stack.wait_for_state(each.run_id, "running")
        if each.state == "cancelling":
            stack.insert("requests", request_id=f"{each.job_id}c", kind="cancel", run_id=each.run_id)
    for each in failing:
        stack.wait_for_state(each.run_id, "retry_wait")
    stack.signal("s3", signal.SIGSTOP)
    try:
        ask(stack, planned, "queued", run_at=stack.now() + PAUSE)
        for each in ask(stack, planned, "fetching"):
            eventually(partial(is_claimed, stack, each), READY_SECONDS, f"the claim of {each.run_id}")
        for each in planned:
            stack.wait_for_state(each.run_id, "queued" if each.state == "fetching" else each.state)
        yield
    finally:
        stack.signal("s3", signal.SIGCONT)


def is_claimed(stack, asked):
    return any(each["claimed_at"] for each in stack.attempts(asked.run_id))


def kill_executor_and_supervisor(stack):
    """Kills one executor, and the supervisor of the other, which then ends too."""
    alone = stack.pid("executor-1")
    (supervisor,) = children(alone)
    os.kill(supervisor, signal.SIGKILL)
    return {"executor-0": stack.kill("executor-0"), "executor-1": alone}


def kill_workers(stack):
    return {each: stack.kill(each) for each in ("stream-0", "stream-1")}


@pytest.mark.parametrize(
    ("kill", "expected"), [(kill_executor_and_supervisor, KILLED_EXECUTORS), (kill_workers, KILLED_WORKERS)]
)
def test_a_part_killed_with_runs_in_every_state_leaves_each_run_to_its_successor(
    stack, planned, all_ended, broken, kill, expected
):
    with all_under_way(stack, planned):
        dead = kill(stack)
    for part, pid in dead.items():
        stack.wait_for_restart(part, pid)
    run_ids = [each.run_id for each in planned]
    all_ended(run_ids)
    found = {each: outcome(stack, each.run_id) for each in planned}
    assert found == {each: expected[each.state] for each in planned}
    cancelled = [each.run_id for each in planned if each.state == "cancelling"]
    assert broken(run_ids, EXCUSED, cancelled) == []


def outcome(stack, run_id):
    return stack.run(run_id)["state"], [each["ended_as"] for each in stack.attempts(run_id)]
