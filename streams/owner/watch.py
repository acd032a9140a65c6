"""The watchdog's judgement without I/O: which partition stands still although there is something to do."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta

import msgspec

Where = tuple[str, int]
"""(input topic, partition)"""
NOTHING_APPLIED = -1


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What the watchdog sees at one moment."""

    boot_seconds: float
    applied: Mapping[Where, int]
    """The last applied offset of each input topic of the partitions held."""
    ends: Mapping[Where, int]
    """Behind the last record, or marker, of each of them."""
    recovering: Mapping[int, int]
    """The partitions that have no owner at this moment, with a number that grows whenever its recovery comes on."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """Is there a record after this offset that may be read? Aborted transactions and markers leave gaps."""

    where: Where
    after: int


class Stalled(msgspec.Struct, frozen=True, kw_only=True):
    """The worker is to end: its restart finds what stopping hides."""

    what: str
    partition: int
    seconds: float


class Stalls:
    """Since when each partition has had unread input, or no owner, without progress."""

    def __init__(self, limit: timedelta) -> None:
        self._limit = limit.total_seconds()
        self._seen: dict[Where, tuple[int, float]] = {}
        self._passed: dict[Where, int] = {}

    def look(self, sight: Sight) -> Generator[Probe, bool, Stalled | None]:
        """Asks about the partitions that look stalled; returns one that is."""
        for (what, partition), seconds in self._overdue(sight):
            where = what, partition
            if where not in sight.applied:
                return Stalled(what=what, partition=partition, seconds=seconds)
            after = max(sight.applied[where], self._passed.get(where, NOTHING_APPLIED))
            if (yield Probe(where=where, after=after)):
                return Stalled(what=what, partition=partition, seconds=seconds)
            self._passed[where] = sight.ends[where] - 1
        return None

    def forget(self) -> None:
        """Give everything the whole limit again."""
        self._seen = {}

    def _overdue(self, sight: Sight) -> list[tuple[Where, float]]:
        places = {where: self._unread(where, offset, sight) for where, offset in sight.applied.items()}
        places |= {("recovery", partition): progress for partition, progress in sight.recovering.items()}
        seen: dict[Where, tuple[int, float]] = {}
        for where, progress in places.items():
            if progress is not None:
                before = self._seen.get(where)
                seen[where] = before if before and before[0] == progress else (progress, sight.boot_seconds)
        self._seen = seen
        waited = [(where, sight.boot_seconds - since) for where, (_, since) in seen.items()]
        return [(where, seconds) for where, seconds in waited if seconds >= self._limit]

    def _unread(self, where: Where, applied: int, sight: Sight) -> int | None:
        """How far it is read, if anything may lie behind that. The last record of all counts like any other."""
        passed = max(applied, self._passed.get(where, NOTHING_APPLIED))
        return None if passed + 1 >= sight.ends.get(where, 0) else passed
