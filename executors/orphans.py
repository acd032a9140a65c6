"""Finds and kills processes that left their run's process group, by their parent and their environment variables."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Collection, Iterator

# The process supervisor imports this file: import only small parts of the standard library.

_PR_SET_CHILD_SUBREAPER = 36
_ATTEMPT_VARIABLES = (b"TIDEMILL_RUN_ID=", b"TIDEMILL_FENCING_TOKEN=")

_DIRECTORY = b"TIDEMILL_CHECKPOINT="
"""This variable shows in which executor's directory an attempt's process ran."""

_MOST_LISTED_BYTES = 64 * 1024
"""About 9,000 children. If there are more, any of them may be new."""

AttemptVariables = tuple[bytes, ...]
"""The environment variables of a process that name its attempt: run id and fencing token."""


class Strays:
    """Tracks the children that this process did not start: descendants of attempts whose parent died.

    This process must have one thread, and must be the parent of every orphan below it (`adopt_orphans`).
    """

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        """By pid: when the child was first seen."""
        try:
            self._children = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # this kernel does not list children
            self._children = -1

    def came_since(self, moment: float, leaders: Collection[int], now: float) -> bool:
        """Whether one was first seen at `moment` or later. Also true if the kernel does not list all children."""
        if self._children < 0:
            return True
        listed = os.pread(self._children, _MOST_LISTED_BYTES, 0)
        found = {int(pid) for pid in listed.split()}.difference(leaders)
        self._since = {pid: self._since.get(pid, now) for pid in found}
        return len(listed) == _MOST_LISTED_BYTES or any(since >= moment for since in self._since.values())

    def forget(self, pid: int) -> None:
        """The child is reaped: another process may get its pid."""
        self._since.pop(pid, None)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose parent dies."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def children(parent: int) -> Iterator[int]:
    """The pids of a process's children, zombies included."""
    return (pid for pid in _processes() if _parent_of(pid) == parent)


def attempt_variables(env: dict[str, str]) -> AttemptVariables:
    return tuple(name + env.get(name[:-1].decode(), "").encode() for name in _ATTEMPT_VARIABLES)


def children_of_ended_attempts(
    parent: int, leaders: Collection[int], living: Collection[AttemptVariables]
) -> list[int]:
    """Children whose environment variables name an ended attempt.

    A child that removes these variables lives until the supervisor ends.
    """
    orphans = (pid for pid in children(parent) if pid not in leaders)
    return [pid for pid in orphans if (variables := _attempt_variables_of(pid)) and variables not in living]


def kill_children(parent: int) -> bool:
    """Kill every child of `parent`; returns whether a kill was sent."""
    killed = [kill_quietly(pid) for pid in children(parent) if not _is_zombie(pid)]
    return any(killed)


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


def _is_zombie(pid: int) -> bool:
    return _stat(pid)[:1] in ([b"Z"], [])


def _attempt_variables_of(pid: int) -> AttemptVariables | None:
    variables = _environment(pid)
    found = tuple(each for name in _ATTEMPT_VARIABLES for each in variables if each.startswith(name))
    return found if len(found) == len(_ATTEMPT_VARIABLES) else None


def _environment(pid: int) -> list[bytes]:
    """A process's variables at its start; empty if it does not exist or belongs to another user."""
    try:
        return _read(f"/proc/{pid}/environ").split(b"\0")
    except OSError:
        return []


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - pathlib is too large for the process supervisor
        return file.read()
