"""Which limits apply to an attempt, who enforces them, and what is said about those that it reached."""

from __future__ import annotations

import resource

import pytest

from executors.sandbox.cgroups import Cgroups
from executors.sandbox.host import NoSandboxError
from executors.sandbox.launch import SHIM
from executors.sandbox.limits import (
    MOST_PROCESSES,
    NO_LIMITS,
    Limits,
    UnlimitedError,
    disk_problem,
    enforceable,
    in_words,
    limits_of,
    memory_problem,
    pids_problem,
    process_limits,
)
from executors.sandbox.start import find_capabilities
from executors.settings import ExecutorSettings
from schemas.confinement import Confinement, Limit, Sandbox

EVERY = Limits(memory=64, disk=10, cpu=0.5, pids=20)
GROUPS = frozenset({Limit.MEMORY, Limit.CPU, Limit.PIDS})


def test_a_job_overrides_the_default_of_its_executor():
    assert limits_of(Confinement(memory=1, cpu=2.0), EVERY) == Limits(memory=1, disk=10, cpu=2.0, pids=20)
    assert limits_of(None, EVERY) == EVERY
    assert limits_of(Confinement(), NO_LIMITS) == NO_LIMITS


def test_the_limits_that_are_set_are_asked_for():
    assert EVERY.asked == GROUPS | {Limit.DISK}
    assert Limits(disk=0).asked == {Limit.DISK}
    assert EVERY.only(GROUPS) == Limits(memory=64, cpu=0.5, pids=20)


def test_the_processes_of_a_sandbox_do_not_count_as_those_of_its_attempt():
    assert Limits(pids=20).with_processes_of(Sandbox.STRICT) == Limits(pids=22)
    assert Limits(pids=20).with_processes_of(Sandbox.BASIC) == Limits(pids=20)
    assert NO_LIMITS.with_processes_of(Sandbox.STRICT) == NO_LIMITS


def test_what_a_group_limits_is_no_limit_of_each_process():
    assert process_limits(EVERY, GROUPS, has_own_user=False) == {resource.RLIMIT_FSIZE: 10}


def test_without_groups_each_process_has_its_limits():
    found = process_limits(Limits(memory=64, pids=20), (), has_own_user=True)
    assert found == {resource.RLIMIT_DATA: 64, resource.RLIMIT_NPROC: 20}


def test_an_attempt_with_a_user_of_its_own_has_no_more_processes_than_any_program_needs():
    assert process_limits(NO_LIMITS, GROUPS, has_own_user=True) == {resource.RLIMIT_NPROC: MOST_PROCESSES}
    assert process_limits(Limits(pids=10_000), GROUPS, has_own_user=True) == {}


@pytest.mark.parametrize("limits", [Limits(cpu=0.5), Limits(pids=20)])
def test_a_limit_that_nothing_enforces_is_never_ignored(limits):
    with pytest.raises(UnlimitedError, match="cannot be limited here"):
        process_limits(limits, (), has_own_user=False)


def test_an_executor_can_enforce_what_its_groups_and_its_users_give():
    assert enforceable((), has_own_user=False) == {Limit.MEMORY, Limit.DISK}
    assert enforceable((), has_own_user=True) == {Limit.MEMORY, Limit.DISK, Limit.PIDS}
    assert enforceable(GROUPS, has_own_user=False) == GROUPS | {Limit.DISK}


def test_a_problem_names_the_limit_and_its_size():
    size = 64 * 1024**2
    assert memory_problem(size).startswith("it needed more than memory = 64 MB, so the kernel killed ")
    assert pids_problem(20, 1) == "it had pids = 20 processes and threads, and was refused another one once"
    assert pids_problem(20, 81).endswith("refused another one 81 times")
    assert disk_problem(10 * 1024**2) == "it filled disk = 10 MB"


@pytest.mark.parametrize(("count", "said"), [(0, "0 bytes"), (1024**2, "1 MB"), (1_000_000, "1000000 bytes")])
def test_sizes_are_exact(count, said):
    assert in_words(count) == said


@pytest.mark.parametrize("name", ["cpu", "pids"])
def test_an_executor_does_not_start_with_a_default_that_it_cannot_enforce(tmp_path, name):
    with pytest.raises(NoSandboxError, match=f"TIDEMILL_{name.upper()} is set, but cannot be enforced here: this host"):
        find_capabilities(ExecutorSettings(**{name: 1}), SHIM, Cgroups("x.1", tmp_path), "no users")
