"""Sets of instants as sorted, disjoint intervals [from, to)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

Interval = tuple[datetime, datetime]

_INSTANT = timedelta(microseconds=1)


def contains(intervals: tuple[Interval, ...], instant: datetime) -> bool:
    index = bisect_right(intervals, instant, key=lambda each: each[0])
    return index > 0 and instant < intervals[index - 1][1]


def outside(intervals: tuple[Interval, ...], first: datetime, last: datetime) -> Iterator[Interval]:
    """The parts of [first, last] that no interval contains, as (after, until]."""
    after = first - _INSTANT
    for begin, end in intervals:
        if end > after and begin <= last:
            if begin - _INSTANT > after:
                yield after, begin - _INSTANT
            after = end - _INSTANT
    if after < last:
        yield after, last


def joined(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The intervals sorted; those that touch are merged."""
    found: list[Interval] = []
    for begin, end in sorted(intervals):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return tuple(found)
