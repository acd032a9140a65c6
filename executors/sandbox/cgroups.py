"""Control groups: a new one for each attempt with a limit that needs one, below the group of the executor.

Entering a group takes 0.03 ms on a busy host and 6 ms of waiting on an idle one (the kernel waits for RCU), so an
attempt without such a limit enters none. An attempt never gets the group of an earlier one: its counts begin at 0, and
no process that an earlier attempt left is in it. Making a group takes less than 0.1 ms in each hierarchy.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from executors.sandbox.hierarchies import CONTROLLERS, Hierarchy, find_hierarchies
from executors.sandbox.limits import Limits
from schemas.confinement import Limit

_LOG = structlog.get_logger()
_V1, _V2 = 1, 2
_PREFIX = "tidemill."
_LEAF = "executor"
"""Version 2 gives controllers only to groups below one without processes, so the executor itself moves into a leaf."""
_PERIOD_US = 100_000
_LEAST_QUOTA_US = 1_000
"""The least that the kernel takes: 0.01 cores."""
_OPTIONAL = ("memory.memsw.limit_in_bytes", "memory.swap.max", "memory.oom.group")
"""Files that the kernel lacks if it does not count swap, or is old."""
_COUNTS = {
    _V1: (
        ("memory.max_usage_in_bytes", "peak", "([0-9]+)"),
        ("memory.oom_control", "killed", "^oom_kill ([0-9]+)$"),
        ("pids.events", "refused", "^max ([0-9]+)$"),
        ("cpuacct.usage", "cpu_ns", "([0-9]+)"),
    ),
    _V2: (
        ("memory.peak", "peak", "([0-9]+)"),
        ("memory.events", "killed", "^oom_kill ([0-9]+)$"),
        ("pids.events", "refused", "^max ([0-9]+)$"),
        ("cpu.stat", "cpu_us", "^usage_usec ([0-9]+)$"),
    ),
}
"""By version: the files of a group, what each counts, and where in it the number is."""
_END_SECONDS = 5.0
_CHECK_SECONDS = 0.01
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the processes of a group used and met, as far as the kernel counts it there."""

    peak_memory: int | None
    """Bytes, with the files that the kernel caches for them."""
    cpu_seconds: float | None
    killed: int
    """Above 0 if the kernel killed processes for lack of memory. Version 2 may count a process twice."""
    refused: int
    """Processes and threads that were refused because of `pids`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tree:
    """The executor's part of one hierarchy."""

    version: int
    directory: Path
    lock: int
    limits: frozenset[Limit]
    home: Path | None = None
    """The group from which the executor moved into its leaf; None: it did not move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The group of one attempt: a directory in each hierarchy that limits it."""

    directories: tuple[tuple[int, Path], ...]
    """With the version of each."""

    def open(self) -> list[int]:
        """Descriptors, one of each `cgroup.procs`: a process that writes "0" into all of them has entered the group."""
        fds: list[int] = []
        try:
            for _, path in self.directories:
                fds.append(os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        return fds

    def usage(self) -> Usage:
        found = dict(each for version, path in self.directories for each in _counts(version, path))
        cpu_us = found.get("cpu_us", found["cpu_ns"] / 1e3 if "cpu_ns" in found else None)
        return Usage(
            peak_memory=found.get("peak"),
            cpu_seconds=None if cpu_us is None else cpu_us / 1e6,
            killed=found.get("killed", 0),
            refused=found.get("refused", 0),
        )

    def kill(self, seconds: float = _END_SECONDS) -> bool:
        """Kill all processes in it; false if one is left after so long. Blocks."""
        until = time.monotonic() + seconds
        for version, path in self.directories:
            if version == _V1:
                _try_write(path / "pids.max", "0")  # nothing forks from now on
        while any(_kill_in(version, path) for version, path in self.directories):
            if time.monotonic() > until:
                return False
            time.sleep(_CHECK_SECONDS)
        return True


class Cgroups:
    """Call `make` and `remove` in any thread, for different attempts at once."""

    def __init__(self, name: str, proc: Path = Path("/proc")) -> None:
        """`name` is the executor's id. With version 2 this moves the process, so call it before a child is started."""
        self.lacks: list[str] = []
        """Sentences: what cannot be limited by groups here, and why."""
        self._trees: list[_Tree] = []
        for found in find_hierarchies(proc):
            try:
                _remove_dead(found)
                self._trees.append(_make_tree(found, name))
            except OSError as error:
                what = ", ".join(found.controllers)
                self.lacks.append(f"no control groups for {what} below {found.own}: {_why(error)}")
        missing = [name for name, limit in CONTROLLERS.items() if limit not in self.limits]
        if missing and not self.lacks:
            self.lacks.append(f"this host has no control groups for {', '.join(missing)}")

    @property
    def limits(self) -> frozenset[Limit]:
        """What a group can limit here."""
        return frozenset().union(*(each.limits for each in self._trees))

    def make(self, name: str, limits: Limits) -> Group | None:
        """A group for the limits that a group enforces here; None: there is none of them. Raises `OSError`."""
        needed = [each for each in self._trees if each.limits & limits.asked]
        group = Group(directories=tuple((each.version, each.directory / name) for each in needed))
        try:
            for tree in needed:
                (tree.directory / name).mkdir()
                for file, value in _settings(tree.version, limits.only(tree.limits)):
                    if file not in _OPTIONAL or (tree.directory / name / file).exists():
                        (tree.directory / name / file).write_text(value)
        except OSError:
            self.remove(group)
            raise
        return group if needed else None

    def remove(self, group: Group) -> None:
        """Kill what is left in it, and remove it with the cached files that count as its own. Blocks."""
        group.kill()
        for _, path in group.directories:
            try:
                _remove_group(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                _LOG.warning("control group not removed", directory=str(path), reason=error.strerror)

    def close(self) -> None:
        """Remove all groups; this process goes back to where it was."""
        for tree in self._trees:
            with suppress(OSError):
                if tree.home:
                    _go_home(tree.directory, tree.home)
                _remove_tree(tree.version, tree.directory)
            os.close(tree.lock)
        self._trees = []


def _make_tree(found: Hierarchy, name: str) -> _Tree:
    directory = found.own / f"{_PREFIX}{name}"
    lock = _make_locked(directory)
    try:
        home = _delegate(found, directory) if found.version == _V2 else None
    except OSError:
        os.close(lock)
        with suppress(OSError):
            directory.rmdir()
        raise
    limits = frozenset(CONTROLLERS[each] for each in found.controllers)
    return _Tree(version=found.version, directory=directory, lock=lock, limits=limits, home=home)


def _why(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "other processes are in this group, and the executor needs one of its own (systemd: Delegate=yes)"
    return error.strerror or str(error)


def _make_locked(directory: Path) -> int:
    """A lock shows that the executor lives. Another one that starts may remove the directory before it is locked."""
    for _ in range(_TRIES):
        directory.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if directory.is_dir() and os.fstat(lock).st_ino == directory.stat().st_ino:
                return lock
            os.close(lock)
    raise FileNotFoundError(2, "another executor removes the group while this one makes it")


def _delegate(found: Hierarchy, directory: Path) -> Path | None:
    """Give the controllers to the groups of attempts. Returns the group from which this process had to move for that.

    Raises `OSError`, and then this process is where it was.
    """
    given = set((found.own / "cgroup.subtree_control").read_text().split())
    wanted = " ".join(f"+{each}" for each in found.controllers)
    moves = not given.issuperset(found.controllers) and (found.own / "cgroup.type").exists()
    if moves:
        (directory / _LEAF).mkdir()
        (directory / _LEAF / "cgroup.procs").write_text("0")
    try:
        (found.own / "cgroup.subtree_control").write_text(wanted)
        (directory / "cgroup.subtree_control").write_text(wanted)
    except OSError:
        if moves:
            (found.own / "cgroup.procs").write_text("0")
            (directory / _LEAF).rmdir()
        raise
    return found.own if moves else None


def _go_home(directory: Path, home: Path) -> None:
    """Take the controllers back, which the kernel wants first, and move the executor with its supervisor."""
    for each in (directory, home):
        given = (each / "cgroup.subtree_control").read_text().split()
        (each / "cgroup.subtree_control").write_text(" ".join(f"-{name}" for name in given))
    for pid in (directory / _LEAF / "cgroup.procs").read_text().split():
        (home / "cgroup.procs").write_text(pid)


def _settings(version: int, limits: Limits) -> Iterator[tuple[str, str]]:
    """The files of a group and what to write into them, in this order."""
    quota = None if limits.cpu is None else max(round(limits.cpu * _PERIOD_US), _LEAST_QUOTA_US)
    if version == _V2 and limits.memory is not None:
        yield from (("memory.max", str(limits.memory)), ("memory.swap.max", "0"), ("memory.oom.group", "1"))
    elif limits.memory is not None:
        yield from ((f"memory.{each}limit_in_bytes", str(limits.memory)) for each in ("", "memsw."))
    if limits.pids is not None:
        yield "pids.max", str(limits.pids)
    if version == _V2 and quota is not None:
        yield "cpu.max", f"{quota} {_PERIOD_US}"
    elif quota is not None:
        yield from (("cpu.cfs_period_us", str(_PERIOD_US)), ("cpu.cfs_quota_us", str(quota)))


def _counts(version: int, directory: Path) -> Iterator[tuple[str, int]]:
    """A kernel may lack some of the files."""
    for file, name, pattern in _COUNTS[version]:
        with suppress(OSError):
            if found := re.search(pattern, (directory / file).read_text(), re.MULTILINE):
                yield name, int(found[1])


def _kill_in(version: int, directory: Path) -> bool:
    """Whether there was a process in it."""
    try:
        pids = (directory / "cgroup.procs").read_text().split()
    except FileNotFoundError:
        return False
    if pids and not (version == _V2 and _try_write(directory / "cgroup.kill", "1")):
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(pid), signal.SIGKILL)
    return bool(pids)


def _remove_dead(found: Hierarchy) -> None:
    """Remove the groups of executors that died, with the processes in them."""
    for directory in found.own.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it lives, or another executor that starts removes its groups
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove_tree(found.version, directory)
            finally:
                os.close(lock)


def _remove_tree(version: int, directory: Path) -> None:
    """Raises `OSError`, and may then have removed a part."""
    for path in [each for each in directory.iterdir() if each.is_dir()]:
        Group(directories=((version, path),)).kill()
        _remove_group(path)
    directory.rmdir()


def _remove_group(directory: Path) -> None:
    """The cached files of a group without processes stay its own, so they would keep the group alive in the kernel."""
    if not _try_write(directory / "memory.force_empty", "0"):
        with suppress(OSError):
            _try_write(directory / "memory.reclaim", (directory / "memory.current").read_text())
    directory.rmdir()


def _try_write(file: Path, value: str) -> bool:
    """False if this kernel has no such file, or refuses the value now."""
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, value.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
