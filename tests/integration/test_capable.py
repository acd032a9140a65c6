"""A run whose job asks for more than the executor gives waits with a reason, on the real stack."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from infra import stack as local
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

SAID_SECONDS = 15
MOVED_SECONDS = 60
EXIT_SECONDS = 30
JOBS = 24
"""Enough that some are in partitions that move to one more executor."""


def test_a_run_waits_for_what_its_job_asks_for_and_starts_once_the_job_asks_for_less(stack, name):
    other = f"{name}-other"
    program = stack.put_script(name, "echo done")
    stack.put_job(name, program, unveil=["r:/no/executor/allows/this"])
    stack.put_job(other, program)
    waiting = stack.request(name, f"{name}r")

    def said():
        run = stack.run(waiting)
        return run if run and run["reason_code"] else None

    run = eventually(said, SAID_SECONDS, "the reason")
    assert (run["state"], run["reason_code"], run["attempt"]) == ("queued", "no_capable_executor", 0)
    assert "the executor cannot give unveil r:/no/executor/allows/this (it allows " in run["reason"]
    assert stack.wait_until_final(stack.request(other, f"{other}r"))["state"] == "succeeded"
    assert stack.run(waiting)["state"] == "queued"
    stack.edit_job(name, unveil=[])
    assert stack.wait_until_final(waiting)["state"] == "succeeded"
    (attempt,) = stack.attempts(waiting)
    assert attempt["peak_memory"] > 0
    assert attempt["cpu_seconds"] >= 0


@pytest.fixture
def start_executor(stack, tmp_path):
    """Starts one more executor of the stack, with settings of its own; it stops at the end."""
    started = []

    def start(name, **settings):
        own = {
            "TIDEMILL_EXECUTOR_NAME": name,
            "TIDEMILL_WORK_DIR": str(tmp_path / f"{name}-work"),
            "TIDEMILL_CACHE_DIR": str(tmp_path / f"{name}-cache"),
            **settings,
        }
        with (tmp_path / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", "executors"]
            environment = {**os.environ, **local.environment(stack.data), **own}
            started.append(subprocess.Popen(command, env=environment, stderr=log))

    yield start
    for process in started:
        process.terminate()  # it says that it leaves, so no later test finds it silent
        process.wait(EXIT_SECONDS)


def test_runs_go_only_to_the_executor_that_gives_what_they_ask_for(stack, name, tmp_path, start_executor):
    jobs = [f"{name}-{number}" for number in range(JOBS)]
    program = stack.put_script(name, "true")
    shared = tmp_path / "shared"
    shared.mkdir()
    for job in jobs:
        stack.put_job(job, program, unveil=[f"r:{shared}"])
    runs = [stack.request(job, f"{job}r") for job in jobs]
    states = "select run_id, state, reason_code from runs where run_id = any(%s)"

    def all_wait():
        found = stack.rows(states, [runs])
        return len(found) == JOBS and all(each["reason_code"] == "no_capable_executor" for each in found)

    eventually(all_wait, SAID_SECONDS, "every run waits, with the reason")
    start_executor(f"capable-{name}", TIDEMILL_UNVEIL=f"r:{shared}")
    ended = eventually(
        lambda: [each for each in stack.rows(states, [runs]) if each["state"] == "succeeded"], MOVED_SECONDS, "a run"
    )
    for each in ended:
        (attempt,) = stack.attempts(each["run_id"])
        assert attempt["executor_id"].startswith(f"capable-{name}.")
    for job in jobs:  # so that no later test finds runs that wait for ever
        stack.edit_job(job, unveil=[])
    for run in runs:
        assert stack.wait_until_final(run)["state"] == "succeeded"
