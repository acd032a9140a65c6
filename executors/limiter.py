"""Puts attempts under their limits, stops those that fill their disk, and notes what attempts used and which limit they
met.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from executors.attempt import Phase
from executors.in_hand import Attempt
from executors.memory import OutOfMemory, of_this_process, problem
from executors.orphans import tagged_number, user_of
from executors.sandbox.cgroups import Cgroups
from executors.sandbox.deleted_files import deleted_bytes
from executors.sandbox.disk import Measurement
from executors.sandbox.limits import (
    Limits,
    disk_problem,
    limits_of,
    memory_problem,
    pids_problem,
    process_limits,
)
from executors.sandbox.steps import Step, close, fd_in_child, limit, write
from executors.threads import started_pool
from schemas.confinement import Limit, Sandbox
from schemas.event import EndCause
from schemas.exit_codes import SIGNAL_BASE

_T = TypeVar("_T")
_MEASURE_SECONDS = 1.0
_TOO_LARGE = SIGNAL_BASE + signal.SIGXFSZ
_ALIVE = (Phase.SPAWNING, Phase.RUNNING)


@dataclass(slots=True, kw_only=True)
class Limiter:
    """Used from the event loop. Close it after the supervisor has ended."""

    cgroups: Cgroups
    default: Limits
    """For jobs without the columns."""
    sandbox: Sandbox
    """For jobs without one."""
    out_of_memory: OutOfMemory = field(default_factory=of_this_process)
    """The count of the group that attempts without a group share."""
    _threads: ThreadPoolExecutor = field(default_factory=lambda: started_pool(1, "limits"))

    @contextmanager
    def limiting(self, attempt: Attempt) -> Iterator[None]:
        """Inside, the spec of the attempt has the steps of its limits. Raises `OSError` or `UnlimitedError`."""
        assert attempt.spec is not None
        asked = attempt.dispatch.confinement
        attempt.limits = limits_of(asked, self.default)
        sandbox = asked.sandbox if asked and asked.sandbox else self.sandbox
        enforced = attempt.limits.with_processes_of(sandbox)
        rlimits = process_limits(enforced, self.cgroups.limits, has_own_user=attempt.spec.user is not None)
        attempt.group = self.cgroups.make(str(attempt.number), enforced)
        fds = attempt.group.open() if attempt.group else []
        try:
            entry = [step for index in range(len(fds)) for step in _enter(len(attempt.spec.fds) + index)]
            steps = (*entry, *(_process_limit(*each) for each in rlimits.items()), *attempt.spec.steps)
            attempt.spec = replace(attempt.spec, steps=steps, fds=(*attempt.spec.fds, *fds))
            attempt.kills_before = self.out_of_memory.kills()
            yield
        finally:
            for fd in fds:
                os.close(fd)

    async def watch(self, attempt: Attempt, stop: Callable[[], None]) -> None:
        """Measure the files of a running attempt each second, and call `stop` when they have more than its limit."""
        if attempt.limits.disk is None:
            return
        measurement = _measurement(attempt, attempt.limits.disk)
        while attempt.phase in _ALIVE:
            if await self._in_thread(measurement.turn) and attempt.phase in _ALIVE:
                attempt.disk_problem = disk_problem(attempt.limits.disk)
                stop()
                return
            await asyncio.sleep(_MEASURE_SECONDS)

    def note_exit(self, attempt: Attempt) -> None:
        """Note what it used, and the limits of its group that it met."""
        exited, limits = attempt.exited, attempt.limits
        assert exited is not None
        attempt.peak_memory, attempt.cpu_seconds = exited.peak_memory, exited.cpu_seconds
        usage = attempt.group.usage() if attempt.group else None
        if usage:
            attempt.peak_memory = usage.peak_memory or attempt.peak_memory
            attempt.cpu_seconds = attempt.cpu_seconds if usage.cpu_seconds is None else usage.cpu_seconds
        if usage and usage.killed and limits.memory is not None:
            attempt.memory_problem = memory_problem(limits.memory)
        if usage and usage.refused and limits.pids is not None:
            attempt.pids_problem = pids_problem(limits.pids, usage.refused)
        has_own_count = limits.memory is not None and Limit.MEMORY in self.cgroups.limits
        if exited.code and exited.cause is EndCause.EXITED and not has_own_count and not attempt.disk_problem:
            attempt.memory_problem = problem(attempt.kills_before, self.out_of_memory.kills(), exited.code)

    @staticmethod
    def has_to_measure(attempt: Attempt) -> bool:
        """Whether only a look at its files tells why it failed: a process may survive that it cannot write more."""
        failed = attempt.exited is not None and bool(attempt.exited.code)
        return failed and attempt.limits.disk is not None and not attempt.disk_problem

    async def measure(self, attempt: Attempt) -> None:
        """Before its directory is released."""
        if not self.has_to_measure(attempt):
            return
        assert attempt.exited is not None
        assert attempt.limits.disk is not None
        full = attempt.exited.code == _TOO_LARGE
        if full or await self._in_thread(_measurement(attempt, attempt.limits.disk).has_reached):
            attempt.disk_problem = disk_problem(attempt.limits.disk)

    def release(self, attempt: Attempt) -> None:
        """Its end is reported."""
        if attempt.group:
            with suppress(RuntimeError):  # no thread can start, or the pool is closed: `close` removes the group
                self._threads.submit(self.cgroups.remove, attempt.group)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.cgroups.close()

    async def _in_thread(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)


def _enter(index: int) -> tuple[Step, Step]:
    """A step into the group whose `cgroup.procs` is the descriptor with this index."""
    fd = fd_in_child(index)
    return write(fd, b"0", "it cannot enter its control group"), close(fd)


def _process_limit(which: int, value: int) -> Step:
    _, most = resource.getrlimit(which)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    return limit(which, value, value, "its limits cannot be set")


def _measurement(attempt: Attempt, bytes_: int) -> Measurement:
    assert attempt.directory is not None
    directory = attempt.directory
    own = [directory.cwd, directory.checkpoint, directory.result.parent]
    deleted = partial(deleted_bytes, str(directory.path), partial(_is_of, attempt))
    # In the sandbox strict an attempt of a shared user may write beside its directories, too.
    return Measurement([*own, directory.path], bytes_, deleted, known=[*own, directory.executable.parent])


def _is_of(attempt: Attempt, pid: int) -> bool:
    """Whether a process belongs to it. Without a sandbox it has no tag, and nothing is known."""
    user = attempt.spec.user if attempt.spec else None
    if user:
        return user_of(pid) == user.id
    return user_of(pid) == os.geteuid() and tagged_number(pid) == attempt.number
