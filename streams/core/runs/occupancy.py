"""The open runs of one job, indexed so that the overlap policy can count them quickly."""

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
"""Greater than every run id, so it sorts after all entries of the same time."""

Key = tuple[bool, datetime, RunId]


class Category(Enum):
    OPEN = "open"
    """An occurrence, or a requested run that has started."""
    REQUESTED = "requested"
    """A requested run that has not started; it does not count before its scheduled time."""
    CATCHING_UP = "catching_up"
    """An occurrence that was due while its job or the owner was away."""
    HELD = "held"
    """It waits for other runs of its job to end."""
    HELD_CATCH_UP = "held_catch_up"
    """It catches up, and waits for other runs of its job to end."""

    __hash__ = object.__hash__  # faster than the default, and each transition of a run needs several

    @property
    def is_held(self) -> bool:
        return self in _WAITING


_ACTIVE = (Category.OPEN, Category.CATCHING_UP)
_WAITING = (Category.HELD, Category.HELD_CATCH_UP)
_ON_TIME = (Category.OPEN, Category.REQUESTED, Category.HELD)


class Entry(NamedTuple):
    category: Category
    key: Key
    """The order within a category."""
    since: datetime
    """The time from which the run counts."""


class Occupancy:
    """The open runs of one job. Counts take logarithmic time."""

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
        """How many runs are open at `now` and not held."""
        return sum(len(self._in(category)) for category in _ACTIVE) + self._requested(now)

    @property
    def held_count(self) -> int:
        return sum(len(self._in(category)) for category in _WAITING)

    def held_before(self, instant: datetime) -> int:
        """How many held runs were open at `instant`, without those that catch up."""
        return self._before(Category.HELD, instant)

    def open_before(self, instant: datetime) -> int:
        """How many runs were open at `instant`, without those that catch up."""
        return sum(self._before(category, instant) for category in _ON_TIME)

    def catching_up_before(self, instant: datetime) -> int:
        """How many runs that catch up were open at `instant` and are not held."""
        return self._before(Category.CATCHING_UP, instant)

    def first_open_before(self, instant: datetime) -> RunId | None:
        """One run of `open_before`, an active one if possible."""
        return next((self._since[category][0][1] for category in _ON_TIME if self._before(category, instant)), None)

    def has_any_since(self, instant: datetime, now: datetime) -> bool:
        """Whether a run is open at `now` that was not open at `instant`."""
        return any(self._before(category, now) > self._before(category, instant) for category in self._since)

    def next_held(self, most: int, *, in_order: bool) -> list[RunId]:
        """The held runs to release next. Without `in_order`, runs that catch up come last."""
        held, behind = self._in(Category.HELD), self._in(Category.HELD_CATCH_UP)
        return [run_id for *_, run_id in islice(merge(held, behind) if in_order else chain(held, behind), most)]

    def runs(self, now: datetime) -> Iterator[RunId]:
        """The runs that are open at `now`: active ones first, in each category the earliest scheduled first."""
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
    """The entry of an open run in its job's occupancy; None: it belongs to a backfill, which has its own limit.

    A requested run that has started counts at once, even for a resumed tick whose `now` is before its scheduled time.
    """
    status = run.status
    is_asked_for = status.kind is RunKind.REQUESTED or status.request_id is not None
    queued_at = status.queued_at or EPOCH
    since = max(queued_at, status.scheduled_time) if is_asked_for else queued_at
    if run.held:
        category = Category.HELD_CATCH_UP if run.lane is Lane.CATCH_UP else Category.HELD
        return Entry(category, (run.is_rerun, status.nominal_time, run.run_id), since)
    if status.kind is RunKind.BACKFILL or run.backfill_id:
        return None
    active = Category.CATCHING_UP if run.lane is Lane.CATCH_UP else Category.OPEN
    category = Category.REQUESTED if is_asked_for and not run.has_started else active
    return Entry(category, (False, status.scheduled_time, run.run_id), since)
