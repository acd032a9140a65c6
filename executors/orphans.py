"""Processes that left their run's group and outlived their parent: found by their ancestry and their environment."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Collection, Iterator

# The supervisor imports this file: nothing but the standard library, and of that little.

_PR_SET_CHILD_SUBREAPER = 36
_MARK = (b"TIDEMILL_RUN_ID=", b"TIDEMILL_FENCING_TOKEN=")

_PLACE = b"TIDEMILL_CHECKPOINT="
"""What a process has in its environment tells also in which executor's directory its attempt lived."""

_MOST_LISTED_BYTES = 64 * 1024
"""Some 9,000 children; where there are more, none of them is told apart."""

Mark = tuple[bytes, ...]
"""Run id and fencing token, as a process's environment has them."""


class Strays:
    """Children of this process that it did not start: descendants of attempts that lost their own parent.

    This process must have one thread, and must be the parent of every orphan below it (`adopt_orphans`).
    """

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        """By pid: when it was first seen."""
        try:
            self._children = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # this kernel does not list children
            self._children = -1

    def came_since(self, moment: float, leaders: Collection[int], now: float) -> bool:
        """Whether there is one that was not there at `moment`. True also where the kernel does not say."""
        if self._children < 0:
            return True
        listed = os.pread(self._children, _MOST_LISTED_BYTES, 0)
        found = {int(pid) for pid in listed.split()}.difference(leaders)
        self._since = {pid: self._since.get(pid, now) for pid in found}
        return len(listed) == _MOST_LISTED_BYTES or any(since >= moment for since in self._since.values())

    def forget(self, pid: int) -> None:
        """It is reaped: another process may get its number."""
        self._since.pop(pid, None)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant that loses its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def children(parent: int) -> Iterator[int]:
    """The living and dead children of a process."""
    return (pid for pid in _processes() if _parent_of(pid) == parent)


def mark_of(env: dict[str, str]) -> Mark:
    return tuple(name + env.get(name[:-1].decode(), "").encode() for name in _MARK)


def condemned(parent: int, leaders: Collection[int], living: Collection[Mark]) -> list[int]:
    """Children that carry the mark of a run that is over. One that hides its mark stays until the supervisor ends."""
    orphans = (pid for pid in children(parent) if pid not in leaders)
    return [pid for pid in orphans if (mark := _mark_of_process(pid)) and mark not in living]


def kill_children(parent: int) -> bool:
    """Kill every child of `parent`; true while there was one that was not dead yet, and can be killed."""
    killed = [kill_quietly(pid) for pid in children(parent) if not _is_zombie(pid)]
    return any(killed)


def kill_attempts_in(directory: str) -> bool:
    """Kill every process of ours whose attempt lived below a directory; true while there was one."""
    place = _PLACE + os.fsencode(directory) + b"/"
    found = [pid for pid in _processes() if any(each.startswith(place) for each in _environment(pid))]
    killed = [kill_quietly(pid) for pid in found]
    return any(killed)


def kill_quietly(pid: int) -> bool:
    """False if it is gone, or has become another user's: nobody but that user or root can end it."""
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
    """The fields after the command's name: state, parent, …; empty if the process is gone."""
    try:
        return _read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()
    except OSError:
        return []


def _parent_of(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else -1


def _is_zombie(pid: int) -> bool:
    return _stat(pid)[:1] in ([b"Z"], [])


def _mark_of_process(pid: int) -> Mark | None:
    variables = _environment(pid)
    found = tuple(each for name in _MARK for each in variables if each.startswith(name))
    return found if len(found) == len(_MARK) else None


def _environment(pid: int) -> list[bytes]:
    """As it began with; empty if it is gone, or another user's."""
    try:
        return _read(f"/proc/{pid}/environ").split(b"\0")
    except OSError:
        return []


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - pathlib is not for a process of few megabytes
        return file.read()
