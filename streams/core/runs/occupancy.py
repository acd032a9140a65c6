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


class Place(Enum):
    OPEN = "open"
    """An occurrence, or a run that was asked for and has begun."""
    ASKED = "asked"
    """A run that was asked for and has not begun: before its time it is in nobody's way."""
    CATCHING_UP = "catching_up"
    """An occurrence from before its job, or the owner, was away."""
    HELD = "held"
    """It waits for others of its job to end."""
    HELD_BEHIND = "held_behind"
    """It catches up, and waits for others of its job to end."""

    __hash__ = object.__hash__  # a member is one object, and each move of a run asks for several


_AT_WORK = (Place.OPEN, Place.CATCHING_UP)
_WAITING = (Place.HELD, Place.HELD_BEHIND)
_IN_THEIR_TIME = (Place.OPEN, Place.ASKED, Place.HELD)


class Entry(NamedTuple):
    place: Place
    key: Key
    """By which those of one place are ordered."""
    since: datetime
    """From when on it was in the way."""


class Occupancy:
    """Of one job. What is asked of it takes logarithmic time, however many runs of the job are open."""

    __slots__ = ("_by_place", "_since")

    def __init__(self) -> None:
        self._by_place: dict[Place, list[Key]] = {}
        self._since: dict[Place, list[tuple[datetime, RunId]]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_place)

    def add(self, entry: Entry) -> None:
        insort(self._by_place.setdefault(entry.place, []), entry.key)
        insort(self._since.setdefault(entry.place, []), (entry.since, entry.key[-1]))

    def remove(self, entry: Entry) -> None:
        keys, since = self._by_place[entry.place], self._since[entry.place]
        del keys[bisect_left(keys, entry.key)]
        del since[bisect_left(since, (entry.since, entry.key[-1]))]
        if not keys:
            del self._by_place[entry.place], self._since[entry.place]

    def at_work(self, now: datetime) -> int:
        """How many are there at `now` and not held."""
        return sum(len(self._in(place)) for place in _AT_WORK) + self._asked(now)

    @property
    def held_count(self) -> int:
        return sum(len(self._in(place)) for place in _WAITING)

    def held_before(self, instant: datetime) -> int:
        """How many waited at `instant` already; what catches up does not count."""
        return self._before(Place.HELD, instant)

    def open_before(self, instant: datetime) -> int:
        """How many were open at `instant` already; what catches up does not count."""
        return sum(self._before(place, instant) for place in _IN_THEIR_TIME)

    def catching_up_before(self, instant: datetime) -> int:
        """How many that catch up were open at `instant` already and are not held."""
        return self._before(Place.CATCHING_UP, instant)

    def first_open_before(self, instant: datetime) -> RunId | None:
        """Of these one, at work rather than held."""
        return next((self._since[place][0][1] for place in _IN_THEIR_TIME if self._before(place, instant)), None)

    def has_come_since(self, instant: datetime, now: datetime) -> bool:
        """Whether one is there at `now` that was not there at `instant`."""
        return any(self._before(place, now) > self._before(place, instant) for place in self._since)

    def first_held(self, most: int, *, in_order: bool) -> list[RunId]:
        """Those that are let go first. Without `in_order` what catches up goes behind the others."""
        held, behind = self._in(Place.HELD), self._in(Place.HELD_BEHIND)
        return [run_id for *_, run_id in islice(merge(held, behind) if in_order else chain(held, behind), most)]

    def runs(self, now: datetime) -> Iterator[RunId]:
        """Those that are there at `now`; first what is at work, the longest due first."""
        asked = islice(self._in(Place.ASKED), self._asked(now))
        at_work = (self._in(place) for place in _AT_WORK)
        waiting = (self._in(place) for place in _WAITING)
        for _, _, run_id in chain(*at_work, asked, *waiting):
            yield run_id

    def entries(self) -> set[tuple[Place, Key]]:
        """A copy."""
        return {(place, key) for place, keys in self._by_place.items() for key in keys}

    def _asked(self, now: datetime) -> int:
        return bisect_right(self._in(Place.ASKED), (False, now, _AFTER_ALL_IDS))

    def _before(self, place: Place, instant: datetime) -> int:
        return bisect_right(self._since.get(place, []), (instant, _AFTER_ALL_IDS))

    def _in(self, place: Place) -> list[Key]:
        return self._by_place.get(place, [])


def entry_of(run: Run) -> Entry | None:
    """Where an open run stands in the occupancy of its job; None: it is of a backfill, which has a limit of its own.

    A run that was asked for a later time and has begun is there, also for a tick that goes on as of an earlier time.
    """
    status = run.status
    is_asked_for = status.kind is RunKind.REQUESTED or status.request_id is not None
    queued_at = status.queued_at or EPOCH
    since = max(queued_at, status.scheduled_time) if is_asked_for else queued_at
    if run.held:
        place = Place.HELD_BEHIND if run.lane is Lane.CATCH_UP else Place.HELD
        return Entry(place, (run.is_again, status.nominal_time, run.run_id), since)
    if status.kind is RunKind.BACKFILL or run.backfill_id:
        return None
    at_work = Place.CATCHING_UP if run.lane is Lane.CATCH_UP else Place.OPEN
    place = Place.ASKED if is_asked_for and not run.has_begun else at_work
    return Entry(place, (False, status.scheduled_time, run.run_id), since)
