"""Control groups of the kernel: what they refuse, what they count, and that none stays. As root, without Kafka."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

from executors.sandbox.cgroups import Cgroups
from executors.sandbox.hierarchies import find_hierarchies
from executors.sandbox.limits import Limits
from schemas.confinement import Limit
from tests.support.waiting import eventually

MB = 1024**2
NOBODY = 65534
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
BURN = "import time; until = time.monotonic() + {}\nwhile time.monotonic() < until: pass"
FORK = """import os, time
made = 0
for _ in range(100):
    try:
        pid = os.fork()
    except BlockingIOError:
        continue
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    made += 1
print(made, flush=True)
os._exit(3)
"""


@pytest.fixture
def cgroups():
    with closing(Cgroups("test.1")) as made:
        yield made


@pytest.fixture
def limited(cgroups):
    """Makes a group and starts a Python program in it."""
    groups = []

    def start(program, **limits):
        group = cgroups.make(f"{len(groups)}", Limits(**limits))
        groups.append(group)
        return group, enter_and_run(group, program)

    yield start
    for each in groups:
        assert each.kill()
        cgroups.remove(each)


def enter_and_run(group, program):
    fds = group.open()
    enter = f"import os\nfor fd in {fds}: os.write(fd, b'0'); os.close(fd)\n"
    process = subprocess.Popen([sys.executable, "-S", "-c", enter + program], pass_fds=fds, **PIPES)
    for fd in fds:
        os.close(fd)
    return process


def directories_of(name):
    return [path for each in find_hierarchies() for path in each.own.glob(f"tidemill.{name}")]


def test_this_host_limits_memory_processes_and_cpu(cgroups):
    assert (cgroups.limits, cgroups.lacks) == ({Limit.MEMORY, Limit.PIDS, Limit.CPU}, [])


def test_a_group_has_only_the_hierarchies_that_its_limits_need(cgroups):
    assert cgroups.make("none", Limits(disk=MB)) is None
    group = cgroups.make("one", Limits(pids=3, disk=MB))
    assert [path.name for _, path in group.directories] == ["one"]
    cgroups.remove(group)
    assert not any(path.exists() for _, path in group.directories)


def test_a_process_that_needs_more_memory_is_killed_and_counted(limited):
    group, process = limited(f"x = bytearray({8 * 1024 * MB})", memory=64 * MB)
    assert process.wait(30) == -signal.SIGKILL
    usage = group.usage()
    assert (usage.killed, usage.refused) == (1, 0)
    assert 60 * MB < usage.peak_memory <= 64 * MB


def test_a_neighbour_with_memory_of_its_own_does_not_notice(limited):
    quiet, neighbour = limited(f"x = bytearray({32 * MB}); input()", memory=64 * MB)
    _, greedy = limited(f"x = bytearray({8 * 1024 * MB})", memory=64 * MB)
    assert greedy.wait(30) == -signal.SIGKILL
    assert (neighbour.poll(), quiet.usage().killed) == (None, 0)


def test_a_fork_bomb_gets_its_processes_and_no_more(limited):
    group, process = limited(FORK, pids=20)
    assert (process.stdout.readline(), process.wait(30)) == (b"19\n", 3)
    assert group.usage().refused == 81


def test_a_process_gets_its_share_of_a_core(limited):
    began = time.monotonic()
    _, process = limited("import time\nwhile time.process_time() < 0.5: pass", cpu=0.2)
    _, _, used = os.wait4(process.pid, 0)
    share = (used.ru_utime + used.ru_stime) / (time.monotonic() - began)
    assert share < 0.3


def test_cpu_time_is_counted_where_the_kernel_counts_it_with_the_group(limited):
    group, process = limited(BURN.format(0.2), cpu=1.0)
    process.wait(30)
    counted = [path for _, path in group.directories if (path / "cpuacct.usage").exists()]
    assert (group.usage().cpu_seconds is not None) == bool(counted)


def test_all_processes_of_a_group_are_killed_however_fast_they_fork(limited):
    bomb = "import os\nos.setsid()\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    group, process = limited(bomb, pids=50)
    eventually(lambda: group.usage().refused > 1_000)
    assert group.kill()
    process.wait(30)
    assert [(path / "cgroup.procs").read_text() for _, path in group.directories] == [""]


def test_a_group_is_removed_with_the_processes_that_are_left(limited, cgroups):
    group, process = limited("input()", pids=5)
    eventually((group.directories[0][1] / "cgroup.procs").read_text)
    cgroups.remove(group)
    assert process.wait(30) == -signal.SIGKILL
    assert not group.directories[0][1].exists()


def test_the_end_of_an_executor_removes_its_groups():
    cgroups = Cgroups("ends.1")
    cgroups.make("a", Limits(memory=MB, pids=3, cpu=1.0))
    assert len(directories_of("ends.1")) == len(find_hierarchies())
    cgroups.close()
    assert directories_of("ends.1") == []


def test_the_next_start_removes_the_groups_of_dead_executors_with_their_processes():
    dead = Cgroups("dies.1")
    group = dead.make("a", Limits(memory=64 * MB, pids=3))
    process = enter_and_run(group, "input()")
    eventually(lambda: all((path / "cgroup.procs").read_text() for _, path in group.directories))
    for tree in dead._trees:  # as the kernel does when the process ends
        os.close(tree.lock)
    with closing(Cgroups("next.1")):
        assert directories_of("dies.1") == []
        assert process.wait(30) == -signal.SIGKILL
        assert len(directories_of("next.1")) == len(find_hierarchies())


def test_the_groups_of_a_living_executor_stay():
    with closing(Cgroups("lives.1")) as living, closing(Cgroups("next.1")):
        group = living.make("a", Limits(pids=3))
        assert len(directories_of("lives.1")) == len(find_hierarchies())
        living.remove(group)


def test_a_user_without_rights_is_told_what_cannot_be_limited():
    os.seteuid(NOBODY)
    try:
        refused = Cgroups("nobody.1")
    finally:
        os.seteuid(0)
    assert refused.limits == frozenset()
    assert refused.lacks == [
        f"no control groups for {each.controllers[0]} below {each.own}: Permission denied"
        for each in find_hierarchies()
    ]
