"""The limits of an attempt, which of them are limits of each process, and what is said about those that it reached."""

from __future__ import annotations

import resource
from collections.abc import Collection
from dataclasses import dataclass, replace

from schemas.confinement import Confinement, Limit, Sandbox
from schemas.errors import TidemillError

_MB = 1024**2
_OF_BUBBLEWRAP = 2
"""Bubblewrap itself, and the first process inside."""


class UnlimitedError(TidemillError):
    """The executor cannot enforce a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """As the columns of the same names; None: no limit."""

    memory: int | None = None
    """Bytes."""
    disk: int | None = None
    """Bytes in the directories of the attempt."""
    cpu: float | None = None
    """Cores."""
    pids: int | None = None
    """Processes and threads at once."""

    @property
    def asked(self) -> frozenset[Limit]:
        """The limits that are set."""
        return frozenset(each for each in _COLUMNS if getattr(self, each.value) is not None)

    def only(self, kept: Collection[Limit]) -> Limits:
        return Limits(**{each.value: getattr(self, each.value) for each in self.asked.intersection(kept)})

    def with_processes_of(self, sandbox: Sandbox) -> Limits:
        """What to enforce, so that `pids` counts only the attempt's own."""
        return replace(self, pids=self.pids + _OF_BUBBLEWRAP) if self.pids and sandbox is Sandbox.STRICT else self


MOST_PROCESSES = 4_096
"""Of an attempt with a user of its own and without `pids`: enough for any program, and a fork bomb ends there."""
_COLUMNS = (Limit.MEMORY, Limit.DISK, Limit.CPU, Limit.PIDS)
NO_LIMITS = Limits()


def limits_of(asked: Confinement | None, default: Limits) -> Limits:
    """What the job asks for, and the executor's default for the rest."""
    found = {each.value: getattr(asked, each.value, None) for each in _COLUMNS}
    return Limits(**{name: getattr(default, name) if value is None else value for name, value in found.items()})


def process_limits(limits: Limits, groups: Collection[Limit], *, has_own_user: bool) -> dict[int, int]:
    """What `setrlimit` limits: by constants of the module `resource`. `groups`: what a control group limits.

    Raises `UnlimitedError` for a limit that neither can enforce.
    """
    found = {}
    if limits.disk is not None:
        found[resource.RLIMIT_FSIZE] = limits.disk
    if limits.memory is not None and Limit.MEMORY not in groups:
        found[resource.RLIMIT_DATA] = limits.memory
    if limits.pids is not None and Limit.PIDS not in groups:
        if not has_own_user:
            raise UnlimitedError("pids cannot be limited here: there is no control group for it and no user of its own")
        found[resource.RLIMIT_NPROC] = limits.pids
    elif limits.pids is None and has_own_user:
        found[resource.RLIMIT_NPROC] = MOST_PROCESSES
    if limits.cpu is not None and Limit.CPU not in groups:
        raise UnlimitedError("cpu cannot be limited here: there is no control group for it")
    return found


def enforceable(groups: Collection[Limit], *, has_own_user: bool) -> frozenset[Limit]:
    """The limits that an executor can enforce with these control groups. Memory falls back to `RLIMIT_DATA`."""
    always = {Limit.MEMORY, Limit.DISK} | ({Limit.PIDS} if has_own_user else set())
    return frozenset(always.union(groups))


def without_groups(groups: Collection[Limit]) -> tuple[str, ...]:
    """What it means that these are all limits of control groups."""
    if Limit.MEMORY in groups:
        return ()
    return ("memory is limited for each process of an attempt (RLIMIT_DATA), not for all of them together",)


def memory_problem(limit: int) -> str:
    return f"it needed more than memory = {in_words(limit)}, so the kernel killed at least one of its processes"


def pids_problem(limit: int, refused: int) -> str:
    times = "once" if refused == 1 else f"{refused} times"
    return f"it had pids = {limit} processes and threads, and was refused another one {times}"


def disk_problem(limit: int) -> str:
    return f"it filled disk = {in_words(limit)}"


def in_words(count: int) -> str:
    """`64 MB` for whole megabytes (1024² bytes), else the number of bytes."""
    return f"{count // _MB} MB" if count and count % _MB == 0 else f"{count} bytes"
