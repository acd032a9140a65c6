"""Until when a target may start: a tolerance that counts calm time only. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta

Interval = tuple[datetime, datetime]


class Windows:
    """Time in which nothing excuses a delay."""

    def __init__(self, excused: Iterable[Interval]) -> None:
        self._excused = merged(excused)
        self._begins = [begin for begin, _ in self._excused]

    def deadline(self, at: datetime, tolerance: timedelta) -> datetime:
        """The instant at which `tolerance` of calm time has passed since `at`."""
        index = max(bisect_right(self._begins, at) - 1, 0)
        for begin, end in self._excused[index:]:
            if end <= at:
                continue
            calm = max(begin - at, timedelta())
            if calm >= tolerance:
                break
            tolerance -= calm
            at = end
        return at + tolerance

    def excuses(self, begin: datetime, end: datetime) -> bool:
        """Whether any of [begin, end] is excused."""
        return any(low <= end and begin <= high for low, high in self._excused)


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    found: list[Interval] = []
    for begin, end in sorted(intervals):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found
