"""An executor as a process: which limits it announces, and what its own defaults do to runs, on a broker and S3."""

from __future__ import annotations

from datetime import timedelta

import pytest

from executors.sandbox.hierarchies import find_hierarchies
from schemas.confinement import Confinement, Limit
from schemas.heartbeat import ExecutorState

MB = 1024**2


@pytest.fixture
def executor(executors):
    return executors.start(disk=MB, pids=20)


def groups():
    return [path for each in find_hierarchies() for path in each.own.glob("tidemill.mortal.*/[0-9]*")]


def test_an_executor_announces_what_it_can_enforce(owner, executor):
    heartbeat = owner.wait(lambda: owner.last_heartbeat(ExecutorState.RUNNING))
    assert set(heartbeat.capabilities.limits) == set(Limit)


def test_a_run_without_limits_has_those_of_its_executor(owner, executor, objects):
    many = owner.run(objects.script("for i in $(seq 400); do : > $i; done; exec sleep 30"))
    assert many.disk_problem == "it filled disk = 1 MB"
    forks = owner.run(objects.script("for i in $(seq 40); do sleep 1 & done; wait"))
    assert forks.pids_problem.startswith("it had pids = 20 processes and threads")


def test_a_run_with_limits_has_its_own(owner, executor, objects):
    confinement = Confinement(disk=100 * MB, pids=200)
    ended = owner.run(
        objects.script("for i in $(seq 400); do : > $i; done; sleep 1.2; echo done"), confinement=confinement
    )
    assert (ended.exit_code, ended.output, ended.disk_problem) == (0, "done\n", None), ended


def test_the_groups_of_a_killed_executor_are_removed_by_the_next_one(owner, executors, objects, until):
    executor = executors.start("mortal", pids=20)
    order = owner.order(objects.script("exec sleep 60"), lease=timedelta(seconds=60))
    owner.dispatch(order)
    until(groups)
    executor.process.kill()
    executor.process.wait()
    executors.start("next")
    assert not groups()
