"""What attempts use, and what becomes of those that use more than their limits."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shlex
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from executors.s3 import Download
from executors.sandbox.cgroups import Cgroups
from executors.sandbox.hierarchies import find_hierarchies
from executors.sandbox.limits import disk_problem, memory_problem, pids_problem
from executors.sandbox.strict import open_strict
from executors.sandbox.users import find_users
from schemas.confinement import Confinement, Sandbox
from schemas.event import EndCause, Ended, Rejected
from tests.support.attempt_runner import LAUNCHER, RecordingProducer, claim, make_runner

WAIT_SECONDS = 30.0
MB = 1024**2
PYTHON = "/usr/bin/python3"
BOMB = """import os, time
made = 0
for _ in range(200):
    try: pid = os.fork()
    except OSError: continue
    if pid == 0: time.sleep(60)
    made += 1
print(made, flush=True)
os._exit(3)"""
PROGRAM = b'#!/bin/sh\neval "$1"\n'
SHA256 = hashlib.sha256(PROGRAM).hexdigest()


class OneScript:
    """An S3 that has only a program that runs its first argument as a script."""

    def download(self, address, target, *, max_bytes, until):
        target.write_bytes(PROGRAM)
        return Download(etag="x", sha256=SHA256, size=len(PROGRAM))

    def etag(self, _):
        return "x"


def attempt(token, script, **changes):
    address = "s3://bucket/program"
    return claim(token, executable=address, run_id=f"dag#r/{token}", sha256=SHA256, args=(script,), **changes)


@pytest.fixture
def cgroups():
    with closing(Cgroups("limits.1")) as made:
        yield made


@pytest.fixture
def folder():
    """Other users may pass it, unlike the folders of pytest."""
    with tempfile.TemporaryDirectory(prefix="tidemill-executors-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def users(request, folder):
    """Each attempt has one of its own, if this is root; the parameter False: it has that of the executor."""
    found = find_users(folder) if getattr(request, "param", True) else "they share one"
    return None if isinstance(found, str) else found


@pytest.fixture
def ends_of(folder, cgroups, users):
    """The ends of attempts that are claimed together."""

    async def play(claims):
        producer = RecordingProducer()
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(WAIT_SECONDS):
            strict = open_strict(folder / "strict", LAUNCHER)
            runner = make_runner(producer, OneScript(), folder, tasks, cgroups=cgroups, strict=strict, users=users)
            runner.on_claimed("10s", claims)
            while runner.attempts:
                producer.acknowledge_all()
                await asyncio.sleep(0.01)
            runner.close()
            runner.link.close()
        ends = [each for each in producer.events() if isinstance(each, Ended | Rejected)]
        return sorted(ends, key=lambda each: each.token)

    return lambda *claims: asyncio.run(play(claims))


def limited(token, script, **limits):
    return attempt(token, script, confinement=Confinement(**limits))


def python(program):
    return f"exec {PYTHON} -S -c {shlex.quote(program)}"


def groups():
    return [path for each in find_hierarchies() for path in each.own.glob("tidemill.limits.1/*/")]


def test_an_end_tells_what_the_process_and_those_that_it_waited_for_used(ends_of):
    burn = f"{PYTHON} -S -c 'x = bytearray({100 * MB}); sum(range(5_000_000))'; :"
    burned, slept = ends_of(attempt(1, burn), attempt(2, "exec sleep 0.1"))
    assert 0.05 < burned.cpu_seconds < 10.0
    assert 100 * MB < burned.peak_memory < 200 * MB
    assert (slept.exit_code, slept.cpu_seconds < 0.05, slept.peak_memory < 50 * MB) == (0, True, True)


@pytest.mark.parametrize("sandbox", [Sandbox.BASIC, Sandbox.STRICT])
def test_an_attempt_that_needs_more_memory_is_out_of_memory_and_its_neighbours_do_not_notice(ends_of, sandbox):
    greedy, quiet, other = ends_of(
        limited(1, python(f"x = bytearray({8 * 1024 * MB})"), memory=64 * MB, sandbox=sandbox),
        limited(2, python(f"import time; x = bytearray({32 * MB}); time.sleep(1)"), memory=64 * MB),
        attempt(3, "sleep 1; exit 1"),
    )
    assert (greedy.exit_code, greedy.cause) == (137, EndCause.EXITED)
    assert greedy.memory_problem == memory_problem(64 * MB)
    assert 60 * MB < greedy.peak_memory <= 64 * MB
    assert (quiet.exit_code, quiet.memory_problem) == (0, None)
    assert 32 * MB < quiet.peak_memory < 64 * MB
    assert (other.exit_code, other.memory_problem) == (1, None)


@pytest.mark.parametrize("sandbox", [Sandbox.BASIC, Sandbox.STRICT])
def test_a_fork_bomb_has_too_many_processes_and_its_neighbour_starts_some(ends_of, sandbox):
    bombing, neighbour = ends_of(
        limited(1, python(BOMB), pids=20, sandbox=sandbox),
        limited(2, "for each in 1 2 3 4 5; do sleep 0.2 & done; wait", pids=20, sandbox=sandbox),
    )
    assert bombing.exit_code == 3
    assert bombing.pids_problem == pids_problem(20, 181)
    assert (neighbour.exit_code, neighbour.pids_problem) == (0, None)


def test_a_share_of_a_core_is_no_more(ends_of):
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    slow, neighbour = ends_of(limited(1, python(burn), cpu=0.2), attempt(2, python(burn)))
    assert slow.cpu_seconds / (slow.at - slow.started_at).total_seconds() < 0.3
    assert (slow.exit_code, neighbour.exit_code, slow.cpu_seconds >= 0.5) == (0, 0, True)


@pytest.mark.parametrize("ignores", [True, False], ids=["goes on", "dies"])
def test_a_large_file_fills_the_disk(ends_of, ignores):
    ignoring = "trap '' XFSZ; " if ignores else ""
    full, neighbour = ends_of(
        limited(1, f"{ignoring}exec head -c {1024 * MB} /dev/zero > big", disk=10 * MB),
        limited(2, "echo small > file", disk=10 * MB),
    )
    assert (full.exit_code, full.disk_problem) == (1 if ignores else 153, disk_problem(10 * MB))
    assert (neighbour.exit_code, neighbour.disk_problem) == (0, None)


@pytest.mark.parametrize("place", ["$PWD", "$TIDEMILL_CHECKPOINT", "$(dirname $TIDEMILL_RESULT)"])
def test_many_files_fill_the_disk_while_the_process_runs(ends_of, place):
    many = f"cd {place}; for i in $(seq 400); do : > $i; done; exec sleep 20"
    (full,) = ends_of(limited(1, many, disk=MB))
    assert (full.cause, full.exit_code, full.disk_problem) == (EndCause.EXITED, 137, disk_problem(MB))


@pytest.mark.parametrize("users", [True, False], indirect=True, ids=["own users", "one user"])
@pytest.mark.parametrize("sandbox", [Sandbox.BASIC, Sandbox.STRICT])
def test_files_that_are_deleted_and_still_open_fill_the_disk(ends_of, sandbox):
    hides = f"""import os, time
for number in range(4):
    file = os.open(str(number), os.O_CREAT | os.O_WRONLY)
    os.unlink(str(number))
    os.write(file, bytes({MB}))
time.sleep(20)"""
    full, neighbour = ends_of(
        limited(1, python(hides), disk=2 * MB, sandbox=sandbox),
        limited(2, python(hides.replace("20", "3")), disk=20 * MB, sandbox=sandbox),
    )
    assert (full.exit_code, full.disk_problem) == (137, disk_problem(2 * MB))
    assert (neighbour.exit_code, neighbour.disk_problem) == (0, None)


def test_a_failure_within_the_limits_has_no_other_reason(ends_of):
    (failed,) = ends_of(limited(1, "exit 3", memory=64 * MB, disk=10 * MB, cpu=1.0, pids=20))
    assert (failed.exit_code, failed.memory_problem, failed.disk_problem, failed.pids_problem) == (3, None, None, None)


def test_a_group_is_gone_with_its_attempt(ends_of):
    ends_of(limited(1, "setsid sleep 60 & exit 0", memory=64 * MB, pids=20, cpu=1.0))
    assert groups() == []


def test_an_attempt_is_in_a_group_only_for_a_limit_that_needs_one(ends_of):
    own = "cat /proc/self/cgroup"
    limits = [{}, {"disk": MB}, {"pids": 20}, {"memory": 64 * MB, "pids": 20, "cpu": 1.0}]
    found = ends_of(*(limited(token, own, **each) for token, each in enumerate(limits)))
    entered = [len(re.findall(r"/tidemill\.limits\.1/[0-9]+$", each.output, re.MULTILINE)) for each in found]
    assert entered == [0, 0, 1, len(find_hierarchies())]


def test_an_executor_without_groups_limits_the_memory_of_each_process(ends_of, cgroups):
    cgroups.close()
    big, small = ends_of(
        limited(1, python(f"x = bytearray({512 * MB})"), memory=64 * MB),
        limited(2, python(f"x = bytearray({16 * MB})"), memory=64 * MB),
    )
    assert (big.exit_code, "MemoryError" in big.output) == (1, True)
    assert small.exit_code == 0


@pytest.mark.parametrize("users", [True, False], indirect=True, ids=["own users", "one user"])
def test_a_limit_that_an_executor_cannot_enforce_is_refused(ends_of, cgroups, users):
    cgroups.close()
    of_cpu, of_pids = ends_of(limited(1, "true", cpu=0.5), limited(2, "true", pids=20))
    assert isinstance(of_cpu, Rejected)
    assert "cpu cannot be limited here: there is no control group for it" in of_cpu.reason
    assert isinstance(of_pids, Ended if users else Rejected)


@pytest.mark.parametrize("sandbox", [Sandbox.BASIC, Sandbox.STRICT])
def test_an_executor_without_groups_limits_the_processes_of_a_user(ends_of, cgroups, sandbox):
    cgroups.close()
    bombs = (limited(token, python(BOMB), pids=20, sandbox=sandbox) for token in range(2))
    assert [(each.exit_code, each.output) for each in ends_of(*bombs)] == [(3, "19\n")] * 2
