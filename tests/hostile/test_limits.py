"""Hostile attempts to take more than was given: memory, processes, disk, time. Each is bounded by itself, too."""

from __future__ import annotations

from schemas.confinement import Confinement, Limit, Sandbox
from schemas.event import Ended, Rejected
from tests.support.hostile.attempts import hostile
from tests.support.hostile.inside import MB, every, mmap, os, signal, time


def _stays_within(house, outcome):
    if house.key.sandbox is Sandbox.NONE:
        assert "through" in outcome.verdict, outcome.end
    elif not house.can(outcome.attempt):
        assert isinstance(outcome.end, Rejected), outcome.end
        assert outcome.attempt.needs.value in outcome.end.reason
    else:
        assert isinstance(outcome.end, Ended), outcome.end
        assert "through" not in outcome.verdict, outcome.end
        assert outcome.survivors == []


def _takes(limit, **changes):
    return hostile(needs=limit, check=_stays_within, **changes)


@_takes(Limit.MEMORY, confinement=Confinement(memory=200 * MB))
def test_a_job_does_not_take_eight_gigabytes(target):
    """It takes them in pieces, and stops after the fifth part of one: then nothing holds it."""
    held = [bytearray(64 * MB) for _ in range(25)]
    return f"holds {len(held) * 64} MB"


def _stays_within_with_a_group(house, outcome):
    """Else the limit is one of each process and of its private memory, and the executor says so."""
    if house.key.sandbox is Sandbox.NONE or any("RLIMIT_DATA" in each for each in house.capabilities.lacks):
        assert "through" in outcome.verdict, outcome.end
    else:
        _stays_within(house, outcome)


@hostile(needs=Limit.MEMORY, confinement=Confinement(memory=200 * MB), check=_stays_within_with_a_group)
def test_a_job_does_not_take_more_memory_by_sharing_it_among_processes(target):
    """Shared memory belongs to no process alone."""
    shared = mmap.mmap(-1, 512 * MB)
    for number in range(4):
        if not (child := os.fork()):
            for place in range(number * 128 * MB, (number + 1) * 128 * MB, 4096):
                shared[place] = 1
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            return None
    return f"holds {len(shared)} bytes"


@_takes(Limit.PIDS, confinement=Confinement(pids=20))
def test_a_fork_bomb_is_held(target):
    """It stops at 300, which no machine feels."""
    children = []
    try:
        for _ in range(300):
            if not (child := os.fork()):
                time.sleep(3)
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
    return f"made {len(children)}"


@_takes(Limit.DISK, confinement=Confinement(disk=32 * MB))
def test_a_job_does_not_fill_the_disk(target):
    for number in range(32):
        with open(f"piece-{number}", "wb") as file:
            file.write(bytes(8 * MB))
    for _ in every(4, 0.1):
        pass
    return "wrote 256 MB"


@_takes(Limit.DISK, confinement=Confinement(disk=32 * MB))
def test_a_job_does_not_fill_the_disk_beside_its_directories(target):
    os.mkdir("../other")
    for number in range(32):
        with open(f"../other/piece-{number}", "wb") as file:
            file.write(bytes(8 * MB))
    for _ in every(4, 0.1):
        pass
    return "wrote 256 MB"


@_takes(Limit.CPU, confinement=Confinement(cpu=0.02))
def test_a_job_does_not_take_a_whole_core(target):
    """A busy machine gives it little even without a limit, so it has long to take half a second."""
    for _ in every(8):
        sum(range(10_000))
        if time.process_time() > 0.5:
            return "took half a second"
    return None
