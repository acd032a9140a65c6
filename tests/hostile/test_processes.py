"""Hostile attempts on other processes: to read them, to stop them, to slow them down."""

from __future__ import annotations

from tests.support.hostile.attempts import BASIC_PLAIN, BASIC_ROOT, SHIM, hostile
from tests.support.hostile.inside import (
    any_of,
    call,
    command_of,
    ctypes,
    effective_user,
    find_in,
    may_signal,
    os,
    read_from,
    regions_of,
    signal,
    strangers,
)

NOT_DUMPABLE = "the executor and its supervisor are not dumpable in any mode"


@hostile(shown_as=None, why=NOT_DUMPABLE)
def test_a_job_does_not_read_the_environment_of_its_executor(target):
    pids = (target.executor, target.supervisor)
    return any_of(*(lambda pid=pid: find_in(f"/proc/{pid}/environ", target.tokens) for pid in pids))


@hostile(known=(BASIC_ROOT, BASIC_PLAIN))
def test_a_job_does_not_see_the_command_lines_of_others(target):
    return any_of(*(lambda pid=pid: command_of(pid) for pid in target.neighbours))


@hostile()
def test_a_job_does_not_read_the_environment_of_its_neighbour(target):
    return any_of(*(lambda pid=pid: find_in(f"/proc/{pid}/environ", target.tokens) for pid in target.neighbours))


@hostile(shown_as=None, why="without a sandbox only root may, and the test's host is not to be read")
def test_a_job_does_not_read_the_environment_of_any_stranger(target):
    return any_of(*(lambda pid=pid: len(read_from(f"/proc/{pid}/environ")) for pid in strangers(target)))


@hostile()
def test_a_job_sees_no_open_file_of_another_process(target):
    pids = (target.executor, target.supervisor, *target.neighbours)
    return any_of(*(lambda path=f"/proc/{pid}/fd/{fd}": os.readlink(path) for pid in pids for fd in (0, 1)))


@hostile()
def test_a_job_takes_no_open_file_of_another_process(target):
    def take(pid):
        process = call("pidfd_open", pid, 0)
        return f"took {call('pidfd_getfd', process, 0, 0)}"

    return any_of(*(lambda pid=pid: take(pid) for pid in (target.executor, *target.neighbours)))


@hostile(shown_as=None, why=NOT_DUMPABLE)
def test_a_job_does_not_read_the_memory_of_its_executor(target):
    with open(f"/proc/{target.executor}/mem", "rb", buffering=0) as memory:
        first, _ = next(regions_of(target.executor))
        memory.seek(first)
        return f"read {len(memory.read(4096))} bytes"


@hostile()
def test_a_job_does_not_read_the_memory_of_its_neighbour(target):
    class Piece(ctypes.Structure):
        _fields_ = (("address", ctypes.c_void_p), ("size", ctypes.c_size_t))

    def read(pid):
        room = ctypes.create_string_buffer(64)
        here, there = Piece(ctypes.addressof(room), 64), Piece(next(regions_of(pid))[0], 64)
        return call("process_vm_readv", pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)

    return any_of(*(lambda pid=pid: read(pid) for pid in target.neighbours))


@hostile()
def test_a_job_does_not_trace_its_neighbour(target):
    seize = 0x4206
    return any_of(*(lambda pid=pid: call("ptrace", seize, pid, 0, 0) or "seized it" for pid in target.neighbours))


@hostile(shown_as=None, why="nothing is passed on in any mode", also_in=(SHIM,))
def test_a_job_inherits_no_open_file(target):
    """0, 1, 2, and the one that lists them."""
    return sorted(set(os.listdir("/proc/self/fd")) - {"0", "1", "2", "3"})


@hostile()
def test_a_job_kills_nothing_but_itself(target):
    """It tries with signal 0 first, and goes further only if that is refused everywhere: it must not hurt the host."""
    if reached := [pid for pid in strangers(target) if may_signal(pid)]:
        return reached
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
        for pid in (target.executor, target.supervisor, *target.neighbours, *strangers(target)):
            try:
                os.kill(pid, number)
            except OSError:
                continue
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(-1, signal.SIGTERM)
    os.kill(-1, signal.SIGKILL)
    return None


@hostile()
def test_a_job_does_not_signal_its_parent(target):
    return f"may signal {os.getppid()}" if os.getppid() > 1 and may_signal(os.getppid()) else None


@hostile()
def test_a_job_does_not_change_the_limits_of_others(target):
    core, nothing = 4, (ctypes.c_ulonglong * 2)(0, 0)
    pids = (target.supervisor, *target.neighbours)
    return any_of(*(lambda pid=pid: call("prlimit64", pid, core, nothing, 0) or f"of {pid}" for pid in pids))


@hostile()
def test_a_job_does_not_change_the_schedule_of_others(target):
    """It sets what is set already."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    ways = (
        lambda pid: os.sched_setaffinity(pid, os.sched_getaffinity(pid)) or "its cores",
        lambda pid: os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid)) or "its niceness",
        lambda pid: os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0)) or "its policy",
        lambda pid: effective_user(pid) == os.getuid() and (os.setpriority(os.PRIO_USER, os.getuid(), own) or "user"),
        lambda pid: call("ioprio_set", 1, pid, 4) or "its priority at disks",
    )
    pids = (target.supervisor, *target.neighbours)
    return any_of(*(lambda pid=pid, way=way: way(pid) for pid in pids for way in ways))
