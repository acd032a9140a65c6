"""Finds and kills processes that an attempt left behind: by their user, by their tag, or by their environment."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Collection, Iterator
from contextlib import suppress

# The process supervisor imports this file: import only small parts of the standard library.

_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36
_CAPABILITIES_VERSION = 0x20080522
_ATTEMPT_VARIABLES = (b"TIDEMILL_RUN_ID=", b"TIDEMILL_FENCING_TOKEN=")

_DIRECTORY = b"TIDEMILL_CHECKPOINT="
"""This variable shows in which executor's directory an attempt's process ran."""

_MOST_LISTED_BYTES = 64 * 1024
"""About 9,000 children. If there are more, any of them may be new."""

TAG = 2**61
"""A process of an attempt has this plus the attempt's number as its hard RLIMIT_RTTIME, in microseconds. Its children
inherit it, `/proc/<pid>/limits` shows it even if the process is not dumpable, and the sandbox forbids to change it."""
_TAGGED = b"Max realtime timeout"
_TAG_FIELD = 1
"""Of the fields behind the limit's name: soft limit, hard limit, unit."""

AttemptVariables = tuple[bytes, ...]
"""The environment variables of a process that name its attempt: run id and fencing token."""


class Strays:
    """Tracks the children that this process did not start: descendants of attempts whose parent died.

    This process must have one thread, and must be the parent of every orphan below it (`adopt_orphans`).
    """

    def __init__(self) -> None:
        self.since: dict[int, float] = {}
        """By pid: when the child was first seen."""
        self.is_complete = True
        """False: there are more children than `since` names."""
        try:
            self._children = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # this kernel does not list children
            self._children = -1

    def look(self, leaders: Collection[int], now: float) -> None:
        """List them; `leaders` are the children that this process started."""
        if self._children < 0:
            found = set(children(os.getpid()))
        else:
            listed = os.pread(self._children, _MOST_LISTED_BYTES, 0)
            self.is_complete = len(listed) < _MOST_LISTED_BYTES
            found = {int(pid) for pid in (listed if self.is_complete else listed.rpartition(b" ")[0]).split()}
        self.since = {pid: self.since.get(pid, now) for pid in found.difference(leaders)}

    def came_since(self, moment: float) -> bool:
        """Whether one was first seen at `moment` or later."""
        return not self.is_complete or any(since >= moment for since in self.since.values())

    def forget(self, pid: int) -> None:
        """The child is reaped: another process may get its pid."""
        self.since.pop(pid, None)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose parent dies. Raises `OSError`."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def keep_memory_private() -> None:
    """Forbid other processes of this user to read this one's environment, memory and files. Raises `OSError`."""
    _prctl(_PR_SET_DUMPABLE, 0)


def children(parent: int) -> Iterator[int]:
    """The pids of a process's children, zombies included."""
    return (pid for pid in _processes() if _parent_of(pid) == parent)


def attempt_variables(env: dict[str, str]) -> AttemptVariables:
    return tuple(name + env.get(name[:-1].decode(), "").encode() for name in _ATTEMPT_VARIABLES)


def attempt_variables_of(pid: int) -> AttemptVariables | None:
    """Those with which a process was started; None if it has none, or this process may not read them."""
    variables = _environment(pid)
    found = tuple(each for name in _ATTEMPT_VARIABLES for each in variables if each.startswith(name))
    return found if len(found) == len(_ATTEMPT_VARIABLES) else None


def tagged_number(pid: int) -> int | None:
    """The number of the attempt that a process belongs to; None if it has no tag."""
    try:
        limits = _read(f"/proc/{pid}/limits")
    except OSError:
        return None
    for line in limits.splitlines():
        if line.startswith(_TAGGED):
            hard = line.removeprefix(_TAGGED).split()[_TAG_FIELD]
            return int(hard) - TAG if hard.isdigit() and int(hard) > TAG else None
    return None


def user_of(pid: int) -> int | None:
    """The effective user of a process; None if it has ended."""
    try:
        return os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116 - pathlib is too large for the process supervisor
    except OSError:
        return None


def name_of(pid: int) -> str:
    """The name of its command, as `ps` shows it."""
    try:
        return _read(f"/proc/{pid}/comm").decode(errors="replace").strip()
    except OSError:
        return "?"


def is_gone(pid: int) -> bool:
    """Whether it has ended; a zombie has."""
    return _stat(pid)[:1] in ([b"Z"], [b"X"], [])


def kill_children(parent: int) -> bool:
    """Kill every child of `parent`; returns whether a kill was sent."""
    killed = [kill_quietly(pid) for pid in children(parent) if not is_gone(pid)]
    return any(killed)


def kill_with_group(pid: int, spared: Collection[int]) -> None:
    """Kill a process and all of its process group, unless that is one of `spared`.

    The kernel kills a group at once: no process of it can start another one meanwhile.
    """
    with suppress(ProcessLookupError, PermissionError):
        group = os.getpgid(pid)
        if group != os.getpgrp() and group not in spared:
            os.killpg(group, signal.SIGKILL)
    kill_quietly(pid)


def kill_all_of(user: int, killer: int) -> bool:
    """Kill every process of a user at once, through a child with the user id `killer`, which these cannot kill.

    Needs one thread, and the rights to change the user. False if it was not possible; then it has killed nothing.
    """
    try:
        child = os.fork()
    except OSError:
        return False
    if child:
        return os.waitpid(child, 0)[1] == 0
    code = 1
    try:
        os.setgroups([])
        os.setresgid(killer, killer, killer)
        # Kill by the effective user. A process may be signalled by its real and saved user, so these are another's.
        os.setresuid(killer, user, killer)
        _drop_capabilities()
        if os.getresuid() == (killer, user, killer) and 0 not in (killer, user):
            _kill_all_that_i_may()
            code = 0
    finally:
        os._exit(code)


def kill_attempts_in(directory: str) -> bool:
    """Kill every process whose attempt ran below a directory; returns whether a kill was sent."""
    prefix = _DIRECTORY + os.fsencode(directory) + b"/"
    found = [pid for pid in _processes() if any(each.startswith(prefix) for each in _environment(pid))]
    killed = [kill_quietly(pid) for pid in found]
    return any(killed)


def kill_quietly(pid: int) -> bool:
    """Send SIGKILL; false if the process has ended or belongs to another user."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def users_of_processes() -> set[int]:
    """The users that have a process now."""
    return {user for pid in _processes() if not is_gone(pid) and (user := user_of(pid)) is not None}


def _kill_all_that_i_may() -> None:
    with suppress(ProcessLookupError):  # there are none
        os.kill(-1, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def _drop_capabilities() -> None:
    """A capability would let `kill(-1)` reach every process."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


def _processes() -> Iterator[int]:
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit():
                yield int(entry.name)


def _stat(pid: int) -> list[bytes]:
    """The fields after the command's name: state, parent, …; empty if the process does not exist."""
    try:
        return _read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()
    except OSError:
        return []


def _parent_of(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else -1


def _environment(pid: int) -> list[bytes]:
    """A process's variables at its start; empty if it does not exist or belongs to another user."""
    try:
        return _read(f"/proc/{pid}/environ").split(b"\0")
    except OSError:
        return []


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - pathlib is too large for the process supervisor
        return file.read()
