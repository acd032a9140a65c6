"""What every hostile job brings along: its text stands in front of the attempt's function in the job's script."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace

__all__ = ["fcntl", "mmap", "resource", "socket", "subprocess", "suppress"]  # for the attempts

MB = 1024**2
LIBC = ctypes.CDLL(None, use_errno=True)
NEW_CALLS = {
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "pidfd_open": 434,
    "clone3": 435,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "memfd_secret": 447,
    "fchmodat2": 452,
}
"""Their numbers are the same on every architecture."""
OLD_CALLS = {
    "ptrace": (101, 117),
    "syslog": (103, 116),
    "pivot_root": (155, 41),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "mount": (165, 40),
    "umount2": (166, 39),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "init_module": (175, 105),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "sched_setaffinity": (203, 122),
    "clock_settime": (227, 112),
    "kexec_load": (246, 104),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "unshare": (272, 97),
    "move_pages": (279, 239),
    "perf_event_open": (298, 241),
    "prlimit64": (302, 261),
    "open_by_handle_at": (304, 265),
    "clock_adjtime": (305, 266),
    "setns": (308, 268),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "finit_module": (313, 273),
    "sched_setattr": (314, 274),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "sched_getaffinity": (204, 123),
    "clone": (56, 220),
}
"""By name: the numbers on x86-64 and aarch64."""


def call(name: str, *arguments: object) -> int:
    """Does a system call. Raises `OSError`."""
    number = NEW_CALLS.get(name) or OLD_CALLS[name][platform.machine() != "x86_64"]
    plain = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *plain)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def reaches_the_kernel(name: str, values: list[object]) -> bool:
    """Whether the kernel answers a call that can do no harm: it works, or fails for another reason than a permission.

    A text is passed as one, and a list as a pair of numbers in memory.
    """
    try:
        call(name, *map(_argument, values))
    except OSError as error:
        return error.errno not in {errno.EPERM, errno.ENOSYS}
    return True


def _argument(value: object) -> object:
    if isinstance(value, str):
        return value.encode()
    return (ctypes.c_int * len(value))(*value) if isinstance(value, list) else value


def any_of(*tries: Callable[[], object]) -> str | None:
    """What the first try that works gives. Raises the last `OSError` if all fail."""
    last: OSError | None = None
    for each in tries:
        try:
            if found := each():
                return str(found)
        except OSError as error:
            last = error
    if last:
        raise last
    return None


def written_to(path: str, text: str) -> str:
    with open(path, "w") as file:
        file.write(text)
    return f"wrote {path}"


def opened(path: str, flags: int) -> str:
    os.close(os.open(path, flags))
    return f"opened {path}"


def read_from(path: str, size: int = 1 << 20) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(size)


def find_in(path: str, tokens: list[str]) -> str | None:
    """Where one of the tokens stands in a file. Raises `OSError`."""
    found = read_from(path)
    return next((f"{path} has {each[:4]}…" for each in tokens if each.encode() in found), None)


def visible_pids() -> list[int]:
    return [int(each) for each in os.listdir("/proc") if each.isdigit()]


def strangers(target: SimpleNamespace) -> list[int]:
    """The processes that it sees and that do not belong to it; none in a pid namespace of its own."""
    if os.readlink("/proc/self/ns/pid") != target.pid_namespace:
        return []
    return [pid for pid in visible_pids() if target.mark not in command_of(pid)]


def command_of(pid: int) -> str:
    try:
        return read_from(f"/proc/{pid}/cmdline").decode(errors="replace")
    except OSError:
        return ""


def may_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def regions_of(pid: int, names: tuple[str, ...] = ("[heap]", "[stack]")) -> Iterator[tuple[int, int]]:
    """Where the heap and the stack of a process are. Raises `OSError`."""
    for line in read_from(f"/proc/{pid}/maps").decode().splitlines():
        if line.endswith(names):
            first, _, last = line.split()[0].partition("-")
            yield int(first, 16), int(last, 16)


def every(seconds: float, pause: float = 0.0) -> Iterator[int]:
    """Counts, until so much time has passed."""
    until, number = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        yield number
        number += 1
        time.sleep(pause)


def effective_user(pid: int) -> int:
    line = next(each for each in read_from(f"/proc/{pid}/status").decode().splitlines() if each.startswith("Uid:"))
    return int(line.split()[2])


def name_of(pid: int) -> str:
    return read_from(f"/proc/{pid}/comm").decode().strip()


def worked_in_child(function: Callable[[], object]) -> str:
    """Calls it in a child, which then ends. Raises its `OSError`."""
    if not (child := os.fork()):
        try:
            function()
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise OSError(code, os.strerror(code))
    return "it worked"


def become_orphan() -> bool:
    """True in a grandchild that left its session and lost its parent, false in the leader."""
    if child := os.fork():
        os.waitpid(child, 0)
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    return True


def stay() -> None:
    """Ends by itself after a minute, whatever happens."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    time.sleep(60)
    os._exit(0)


def run(attempt: Callable[[SimpleNamespace], object]) -> None:
    """Says in the last line of its output whether the attempt got through, or what held it."""
    if sys.argv[2:] == ["twin"]:
        print("as it was")
        return
    target = SimpleNamespace(**json.load(sys.stdin), mark=sys.argv[1])
    try:
        got = attempt(target)
        verdict = {"through": got} if got else {"held": "it found nothing"}
    except OSError as error:
        verdict = {"held": str(error)}
    print(json.dumps(verdict), flush=True)
