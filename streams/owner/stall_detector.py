"""The watchdog's decision without I/O: which partition makes no progress although its input has unread records."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta

import msgspec

Where = tuple[str, int]
"""(input topic, partition)"""
NOTHING_APPLIED = -1


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What the watchdog sees at one moment."""

    boot_seconds: float
    applied: Mapping[Where, int]
    """The last applied offset of each input topic of the assigned partitions."""
    ends: Mapping[Where, int]
    """The offset after the last record or marker, by the keys of `applied`."""
    recovering: Mapping[int, int]
    """The partitions that have no owner at this moment, each with a number that grows when its recovery progresses."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """Is there a readable record after this offset? Aborted transactions and markers leave gaps."""

    where: Where
    after: int


class Stalled(msgspec.Struct, frozen=True, kw_only=True):
    """The worker has to end: its restart finds the fault that a running worker hides."""

    what: str
    partition: int
    seconds: float


class StallDetector:
    """Remembers how long each partition has had unread input, or no owner, without progress."""

    def __init__(self, limit: timedelta) -> None:
        self._limit_seconds = limit.total_seconds()
        self._progress: dict[Where, tuple[int, float]] = {}
        """(progress, boot seconds when it was first seen)"""
        self._empty_through: dict[Where, int] = {}
        """A probe found no readable record up to this offset."""

    def check(self, seen: Observation) -> Generator[Probe, bool, Stalled | None]:
        """Yield a probe for each partition that looks stalled; return the first that is."""
        for (what, partition), seconds in self._overdue(seen):
            where = what, partition
            if where not in seen.applied:
                return Stalled(what=what, partition=partition, seconds=seconds)
            after = max(seen.applied[where], self._empty_through.get(where, NOTHING_APPLIED))
            if (yield Probe(where=where, after=after)):
                return Stalled(what=what, partition=partition, seconds=seconds)
            self._empty_through[where] = seen.ends[where] - 1
        return None

    def reset(self) -> None:
        """Start the limit of every partition again."""
        self._progress = {}

    def _overdue(self, seen: Observation) -> list[tuple[Where, float]]:
        current = {where: self._unread(where, offset, seen) for where, offset in seen.applied.items()}
        current |= {("recovery", partition): progress for partition, progress in seen.recovering.items()}
        found: dict[Where, tuple[int, float]] = {}
        for where, progress in current.items():
            if progress is not None:
                before = self._progress.get(where)
                found[where] = before if before and before[0] == progress else (progress, seen.boot_seconds)
        self._progress = found
        waited = [(where, seen.boot_seconds - since) for where, (_, since) in found.items()]
        return [(where, seconds) for where, seconds in waited if seconds >= self._limit_seconds]

    def _unread(self, where: Where, applied: int, seen: Observation) -> int | None:
        """The offset read so far; None: no offset after it can hold a record."""
        through = max(applied, self._empty_through.get(where, NOTHING_APPLIED))
        return None if through + 1 >= seen.ends.get(where, 0) else through
