"""The seccomp filter of attempts: system calls that no job needs and that reach beyond its sandbox fail with EPERM."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from functools import cache

from executors.sandbox.calls import AARCH64, NUMBERS, X86_64

_LOAD, _EQUAL, _ABOVE_OR_EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""BPF: `ld [k]`, `jeq`, `jge`, `jset` and `ret`, each with a constant."""
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16
"""Offsets in `struct seccomp_data`."""
_MACHINES = {X86_64: 0xC000003E, AARCH64: 0xC00000B7}
_X32 = 0x40000000
_NEW_NAMESPACES = 0x7E020000
_NEW_TIME_NAMESPACE = 0x80
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_F_SETLEASE = 1024
_RLIMIT_RTTIME = 15
_PRIO_USER, _IOPRIO_WHO_USER = 2, 3
_OF_A_PROCESS = ("sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
"""They take a pid or a thread's id, 0 for the caller; no domain of Landlock stops them between jobs of one user."""
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16


class Sockets(Enum):
    """Which sockets an attempt may make. Pairs of sockets it may always make."""

    ANY = "any"
    OWN = "own"
    """Those that stay inside of a network namespace: AF_VSOCK, for one, reaches the host of a virtual machine."""
    NONE = "none"


DENIED = (
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd", "move_pages"),
    "migrate_pages",
    # mounts and namespaces
    *(
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "setns",
        "open_tree",
        "open_tree_attr",
        "move_mount",
        "mount_setattr",
    ),
    *("fsopen", "fsconfig", "fsmount", "fspick", "open_by_handle_at", "fanotify_init"),
    # memory and queues that outlive the attempt, and that all jobs of a user share
    *("shmget", "semget", "msgget", "mq_open"),
    # large parts of the kernel that no job needs
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("add_key", "request_key", "keyctl", "modify_ldt", "uselib", "sysfs", "_sysctl", "ustat"),
    *("lookup_dcookie", "nfsservctl"),
    # the host
    *("kexec_load", "kexec_file_load", "create_module", "init_module", "finit_module", "delete_module"),
    *("get_kernel_syms", "query_module", "swapon", "swapoff", "reboot", "acct", "quotactl", "quotactl_fd", "syslog"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "vhangup"),
    *("iopl", "ioperm"),
)


@dataclass(frozen=True, slots=True)
class _Go:
    """A conditional jump: where to if it holds, and where to if not; the names of blocks."""

    code: int
    value: int
    yes: str
    no: str


_Line = tuple[int, int] | _Go
_Block = tuple[str, list[_Line]]


@cache
def deny_list(machine: str, sockets: Sockets, *, own_user: bool = False) -> bytes:
    """The filter as an array of `struct sock_filter`.

    Without a user (or a mount and a pid namespace) of its own, an attempt also changes neither limits nor priorities of
    another process or thread, and makes no unix socket: Landlock lets it connect to those of its user's systemd, tmux
    or docker, which start anything.
    """
    calls = NUMBERS[machine]
    targets = {calls[name]: "deny" for name in DENIED if name in calls}
    targets |= {calls[name]: name for name in ("clone", "unshare", "ioctl", "fcntl", "setrlimit")}
    targets[calls["prlimit64"]] = "limit"
    if not own_user:
        targets |= {calls[name]: "of itself" for name in _OF_A_PROCESS}
        targets |= {calls[name]: name for name in ("ioprio_set", "prlimit64", "setpriority", "socket")}
    # The flags of clone3 are in memory, which no filter sees. The C library then uses clone.
    targets[calls["clone3"]] = "unknown"
    if sockets is not Sockets.ANY:
        targets[calls["socket"]] = "own socket" if sockets is Sockets.OWN else "deny"
    ranges = _ranges(targets) + ([(_X32, "kill")] if machine == X86_64 else [])
    top: list[_Block] = [
        ("start", [(_LOAD, _MACHINE), _Go(_EQUAL, _MACHINES[machine], "number", "kill")]),
        ("number", [(_LOAD, _NUMBER)]),
    ]
    tree: list[_Block] = []
    _tree(ranges, tree)
    return _assemble([*top, *tree, *_BLOCKS])


def _ranges(targets: dict[int, str]) -> list[tuple[int, str]]:
    """The first number of each range of calls with the same target; between those with one, all are allowed."""
    ranges = [(0, "allow")]
    for number in sorted({0, *targets, *(each + 1 for each in targets)}):
        target = targets.get(number, "allow")
        if target != ranges[-1][1]:
            ranges.append((number, target))
    return ranges


def _tree(ranges: list[tuple[int, str]], blocks: list[_Block]) -> str:
    """A binary search, because the kernel runs the filter once for every call that there is when an attempt starts.

    Adds its blocks, the root first, and returns the root's name.
    """
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    name, start = f"{ranges[0][0]} to {ranges[-1][0]}", ranges[middle][0]
    place = len(blocks)
    blocks.append((name, []))
    low, high = _tree(ranges[:middle], blocks), _tree(ranges[middle:], blocks)
    blocks[place] = name, [_Go(_ABOVE_OR_EQUAL, start, high, low)]
    return name


def _low(argument: int) -> tuple[int, int]:
    """Load the low half of an argument; the kernel ignores the rest of these."""
    return _LOAD, _ARGUMENTS + 8 * argument


def _high(argument: int) -> tuple[int, int]:
    return _LOAD, _ARGUMENTS + 8 * argument + 4


_BLOCKS: list[_Block] = [
    ("clone", [_low(0), _Go(_ANY_BIT, _NEW_NAMESPACES, "deny", "allow")]),
    ("unshare", [_low(0), _Go(_ANY_BIT, _NEW_NAMESPACES | _NEW_TIME_NAMESPACE, "deny", "allow")]),
    ("ioctl", [_low(1), _Go(_EQUAL, _TIOCSTI, "deny", "console")]),
    ("console", [_Go(_EQUAL, _TIOCLINUX, "deny", "allow")]),
    ("fcntl", [_low(1), _Go(_EQUAL, _F_SETLEASE, "deny", "allow")]),
    # The tag of the attempt (`confine.py`) may be read.
    ("setrlimit", [_low(0), _Go(_EQUAL, _RLIMIT_RTTIME, "deny", "allow")]),
    ("prlimit64", [_low(0), _Go(_EQUAL, 0, "limit", "deny")]),
    ("limit", [_low(1), _Go(_EQUAL, _RLIMIT_RTTIME, "new limit", "allow")]),
    ("new limit", [_low(2), _Go(_EQUAL, 0, "rest of it", "deny")]),
    ("rest of it", [_high(2), _Go(_EQUAL, 0, "allow", "deny")]),
    ("ioprio_set", [_low(0), _Go(_EQUAL, _IOPRIO_WHO_USER, "deny", "who")]),
    ("setpriority", [_low(0), _Go(_EQUAL, _PRIO_USER, "deny", "who")]),
    ("who", [_low(1), _Go(_EQUAL, 0, "allow", "deny")]),
    ("socket", [_low(0), _Go(_EQUAL, _AF_UNIX, "deny", "allow")]),
    ("of itself", [_low(0), _Go(_EQUAL, 0, "allow", "deny")]),
    ("own socket", [_low(0), _Go(_EQUAL, _AF_UNIX, "allow", "internet")]),
    ("internet", [_Go(_EQUAL, _AF_INET, "allow", "internet 6")]),
    ("internet 6", [_Go(_EQUAL, _AF_INET6, "allow", "netlink")]),
    ("netlink", [_Go(_EQUAL, _AF_NETLINK, "allow", "deny")]),
    ("allow", [(_RETURN, _ALLOW)]),
    ("deny", [(_RETURN, _ERROR | _EPERM)]),
    ("unknown", [(_RETURN, _ERROR | _ENOSYS)]),
    ("kill", [(_RETURN, _KILL)]),
]
"""`unknown` says that the kernel does not know the call; `kill` ends the process."""


def _assemble(blocks: list[_Block]) -> bytes:
    places, lines = {}, list[_Line]()
    for name, block in blocks:
        places[name] = len(lines)
        lines += block
    return b"".join(_line(line, index + 1, places) for index, line in enumerate(lines))


def _line(line: _Line, following: int, places: dict[str, int]) -> bytes:
    """A `struct sock_filter`; jumps count from the line after them."""
    if isinstance(line, _Go):
        return struct.pack("<HBBI", line.code, places[line.yes] - following, places[line.no] - following, line.value)
    code, value = line
    return struct.pack("<HBBI", code, 0, 0, value)
