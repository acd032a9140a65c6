"""Steps: the system calls that a process makes between its start and its exec, as data.

`program.py` compiles them into a program, and `shim.py` carries them out on hosts that cannot run the program. They run
in their order. A step that fails ends the process with 127: it never runs with less than it was given.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# The process supervisor imports this file: import only small parts of the standard library.

FIRST_FD = 100
"""The number of a spawn's first descriptor (`Spec.fds`) in the child; the others follow."""
REPORT_FD = 99
"""Where a step that fails says so. The process that is executed does not have it."""
REPORT = struct.Struct("<qqq")
"""The number that `Launcher.launch_file` got, the index of the step, and the result of its call with the sign turned:
an error number. The index behind the last step is the exec."""
FIRST_INNER = 1_000
"""The index of the first step inside of a sandbox (`Confined.inner`)."""
ENTERED = -1
"""An index in a report that says: the process is inside of its sandbox, and nothing has failed."""
NOT_ENTERED = -2
"""Instead of an index: what makes the sandbox has failed, and says why in the output."""
_F_SETFD, _FD_CLOEXEC = 2, 1
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SIGKILL, _SIGTERM = 9, 15
_SIG_BLOCK, _SIG_SETMASK = 0, 2
_RLIMIT_RTTIME = 15
_MOST_USERS = 1024
_SECCOMP_SET_MODE_FILTER = 1
_CLOSE_RANGE_CLOEXEC = 4
_FIRST_OTHER_FD, _LAST_FD = 3, 2**32 - 1
_CAPABILITIES_VERSION_3 = 0x20080522


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """An argument: a pointer to a `struct sock_fprog` with this seccomp program."""

    code: bytes


@dataclass(frozen=True, slots=True)
class Tag:
    """An argument: a pointer to a `struct rlimit` whose two limits are `orphans.TAG` + the number of the attempt."""


Argument = int | bytes | Filter | Tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    call: str
    """A name in `calls.NUMBERS`."""
    args: tuple[Argument, ...]
    """Bytes are passed as a pointer to them. At most six."""
    fails: str
    """What cannot be done if it fails: `it cannot enter its Landlock domain`."""
    result: int = 0
    """What the call must return; 0: anything but an error."""

    def __hash__(self) -> int:
        """Few steps have the same; that of all fields would take a part of the time that an attempt's start takes."""
        return hash(self.fails)


def fd_in_child(index: int) -> int:
    """The number in the child of `Spec.fds[index]`."""
    return FIRST_FD + index


def close(fd: int) -> Step:
    return Step(call="close", args=(fd,), fails=f"it cannot close the descriptor {fd}")


def close_at_exec(fd: int) -> Step:
    return Step(
        call="fcntl", args=(fd, _F_SETFD, _FD_CLOEXEC), fails=f"it cannot make its exec close the descriptor {fd}"
    )


def close_others_at_exec() -> Step:
    """All descriptors but the first three."""
    arguments = (_FIRST_OTHER_FD, _LAST_FD, _CLOSE_RANGE_CLOEXEC)
    return Step(call="close_range", args=arguments, fails="it cannot close its descriptors at its exec (Linux 5.11)")


def write(fd: int, data: bytes, fails: str) -> Step:
    return Step(call="write", args=(fd, data, len(data)), fails=fails, result=len(data))


def say_entered(number: int) -> Step:
    """`number` is the one that `Launcher.launch_file` gets."""
    return write(REPORT_FD, REPORT.pack(number, ENTERED, 0), "it cannot say that it is inside of its sandbox")


def limit(resource: int, soft: int, hard: int, fails: str) -> Step:
    """`resource` is a constant of the module `resource`."""
    return Step(call="prlimit64", args=(0, resource, struct.pack("<QQ", soft, hard), 0), fails=fails)


def tag() -> Step:
    """Tell whose a process is.

    The tag is a hard limit that no process can raise, and the filter keeps it from being lowered. All descendants
    inherit it, and /proc/<pid>/limits shows it, also of processes that are not dumpable.
    """
    return Step(call="prlimit64", args=(0, _RLIMIT_RTTIME, Tag(), 0), fails="it cannot be tagged")


@lru_cache(maxsize=_MOST_USERS)
def become(uid: int) -> tuple[Step, ...]:
    """Change to the user and the group with this number, and leave all other groups."""
    return (
        Step(call="setgroups", args=(0, 0), fails="it cannot leave the groups of the executor"),
        Step(call="setresgid", args=(uid, uid, uid), fails=f"it cannot change to the group {uid}"),
        Step(call="setresuid", args=(uid, uid, uid), fails=f"it cannot change to the user {uid}"),
    )


def drop_capabilities() -> Step:
    header, none = struct.pack("<Ii", _CAPABILITIES_VERSION_3, 0), bytes(24)
    return Step(call="capset", args=(header, none), fails="it cannot give up the capabilities of the executor")


def no_new_privileges() -> Step:
    return Step(
        call="prctl", args=(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), fails="it cannot give up new privileges (no_new_privs)"
    )


def enter_landlock(fd: int) -> Step:
    return Step(call="landlock_restrict_self", args=(fd, 0), fails="it cannot enter its Landlock domain")


def filter_calls(code: bytes) -> Step:
    return Step(
        call="seccomp",
        args=(_SECCOMP_SET_MODE_FILTER, 0, Filter(code=code)),
        fails="its system calls cannot be filtered",
    )


def hold_term() -> Step:
    """Block SIGTERM: what does not end the sandbox of a job with it. `receive_signals` undoes this for the job."""
    mask = struct.pack("<Q", 1 << _SIGTERM - 1)
    return Step(call="rt_sigprocmask", args=(_SIG_BLOCK, mask, 0, len(mask)), fails="it cannot block SIGTERM")


def receive_signals() -> Step:
    mask = bytes(8)
    return Step(call="rt_sigprocmask", args=(_SIG_SETMASK, mask, 0, len(mask)), fails="it cannot receive signals")


def become_init() -> Step:
    """As pid 1 of its namespace, start a process that goes on, and reap what ends until that process does.

    Then all others of the namespace die. Its exit code is that process's, as a shell's.
    """
    return Step(call="become_init", args=(), fails="it cannot start the process below pid 1 of its namespace")


def failure_at(index: int, steps: Sequence[Step], inner: Sequence[Step]) -> str | None:
    """What cannot be done, by the index of a report; None: the exec of the process itself has failed."""
    if index == NOT_ENTERED:
        return "its sandbox cannot be made"
    if index >= FIRST_INNER:
        return inner[index - FIRST_INNER].fails if index - FIRST_INNER < len(inner) else None
    if index >= len(steps):
        return "what makes its sandbox cannot be executed" if inner else None
    return steps[index].fails


def die_with(supervisor: int) -> tuple[Step, ...]:
    """A change of the user undoes this. If the parent died before the first call, no signal follows."""
    return (
        Step(
            call="prctl",
            args=(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0),
            fails="it cannot be made to die with its supervisor",
        ),
        Step(call="getppid", args=(), fails="its supervisor is gone", result=supervisor),
    )
