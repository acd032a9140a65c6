"""What stands in the way of a job's next occurrence: its open runs, in the order in which they are asked about."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from heapq import merge
from itertools import chain, islice
from typing import NamedTuple

from schemas.ids import RunId
from schemas.times import EPOCH
from schemas.words import RunKind
from streams.core.runs.run import Lane, Run

_AFTER_ALL_IDS = RunId("\U0010ffff")
"""No run id is greater: an entry with it stands behind all entries of its time."""

Key = tuple[bool, datetime, RunId]


class Category(Enum):
    OPEN = "open"
    """An occurrence, or a run that was asked for and has begun."""
    REQUESTED = "requested"
    """A run that was asked for and has not begun: before its time it is in nobody's way."""
    CATCHING_UP = "catching_up"
    """An occurrence from before its job, or the owner, was away."""
    HELD = "held"
    """It waits for others of its job to end."""
    HELD_CATCH_UP = "held_catch_up"
    """It catches up, and waits for others of its job to end."""

    __hash__ = object.__hash__  # a member is one object, and each move of a run asks for several


_ACTIVE = (Category.OPEN, Category.CATCHING_UP)
_WAITING = (Category.HELD, Category.HELD_CATCH_UP)
_ON_TIME = (Category.OPEN, Category.REQUESTED, Category.HELD)


class Entry(NamedTuple):
    category: Category
    key: Key
    """By which those of one category are ordered."""
    since: datetime
    """From when on it was in the way."""


class Occupancy:
    """Of one job. What is asked of it takes logarithmic time, however many runs of the job are open."""

    __slots__ = ("_by_category", "_since")

    def __init__(self) -> None:
        self._by_category: dict[Category, list[Key]] = {}
        self._since: dict[Category, list[tuple[datetime, RunId]]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_category)

    def add(self, entry: Entry) -> None:
        insort(self._by_category.setdefault(entry.category, []), entry.key)
        insort(self._since.setdefault(entry.category, []), (entry.since, entry.key[-1]))

    def remove(self, entry: Entry) -> None:
        keys, since = self._by_category[entry.category], self._since[entry.category]
        del keys[bisect_left(keys, entry.key)]
        del since[bisect_left(since, (entry.since, entry.key[-1]))]
        if not keys:
            del self._by_category[entry.category], self._since[entry.category]

    def active(self, now: datetime) -> int:
        """How many are there at `now` and not held."""
        return sum(len(self._in(category)) for category in _ACTIVE) + self._requested(now)

    @property
    def held_count(self) -> int:
        return sum(len(self._in(category)) for category in _WAITING)

    def held_before(self, instant: datetime) -> int:
        """How many waited at `instant` already; what catches up does not count."""
        return self._before(Category.HELD, instant)

    def open_before(self, instant: datetime) -> int:
        """How many were open at `instant` already; what catches up does not count."""
        return sum(self._before(category, instant) for category in _ON_TIME)

    def catching_up_before(self, instant: datetime) -> int:
        """How many that catch up were open at `instant` already and are not held."""
        return self._before(Category.CATCHING_UP, instant)

    def first_open_before(self, instant: datetime) -> RunId | None:
        """Of these one, at work rather than held."""
        return next((self._since[category][0][1] for category in _ON_TIME if self._before(category, instant)), None)

    def has_any_since(self, instant: datetime, now: datetime) -> bool:
        """Whether one is there at `now` that was not there at `instant`."""
        return any(self._before(category, now) > self._before(category, instant) for category in self._since)

    def next_held(self, most: int, *, in_order: bool) -> list[RunId]:
        """Those that are let go first. Without `in_order` what catches up goes behind the others."""
        held, behind = self._in(Category.HELD), self._in(Category.HELD_CATCH_UP)
        return [run_id for *_, run_id in islice(merge(held, behind) if in_order else chain(held, behind), most)]

    def runs(self, now: datetime) -> Iterator[RunId]:
        """Those that are there at `now`; first what is at work, the longest due first."""
        asked = islice(self._in(Category.REQUESTED), self._requested(now))
        active = (self._in(category) for category in _ACTIVE)
        waiting = (self._in(category) for category in _WAITING)
        for _, _, run_id in chain(*active, asked, *waiting):
            yield run_id

    def entries(self) -> set[tuple[Category, Key]]:
        """A copy."""
        return {(category, key) for category, keys in self._by_category.items() for key in keys}

    def _requested(self, now: datetime) -> int:
        return bisect_right(self._in(Category.REQUESTED), (False, now, _AFTER_ALL_IDS))

    def _before(self, category: Category, instant: datetime) -> int:
        return bisect_right(self._since.get(category, []), (instant, _AFTER_ALL_IDS))

    def _in(self, category: Category) -> list[Key]:
        return self._by_category.get(category, [])


def occupancy_entry(run: Run) -> Entry | None:
    """Where an open run stands in the occupancy of its job; None: it is of a backfill, which has a limit of its own.

    A run that was asked for a later time and has begun is there, also for a tick that goes on as of an earlier time.
    """
    status = run.status
    is_asked_for = status.kind is RunKind.REQUESTED or status.request_id is not None
    queued_at = status.queued_at or EPOCH
    since = max(queued_at, status.scheduled_time) if is_asked_for else queued_at
    if run.held:
        category = Category.HELD_CATCH_UP if run.lane is Lane.CATCH_UP else Category.HELD
        return Entry(category, (run.is_again, status.nominal_time, run.run_id), since)
    if status.kind is RunKind.BACKFILL or run.backfill_id:
        return None
    active = Category.CATCHING_UP if run.lane is Lane.CATCH_UP else Category.OPEN
    category = Category.REQUESTED if is_asked_for and not run.has_started else active
    return Entry(category, (False, status.scheduled_time, run.run_id), since)
