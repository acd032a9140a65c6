"""What stands in the way of a job's next occurrence: its open runs, in the order in which they are asked about."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from itertools import chain, islice

from schemas.ids import RunId
from schemas.words import RunKind
from streams.core.run import Run

_AFTER_ALL_IDS = "\U0010ffff"
"""No run id is greater: an entry with it stands behind all entries of its time."""


class Place(Enum):
    OPEN = "open"
    """An occurrence, or a run that was asked for and has begun."""
    ASKED = "asked"
    """A run that was asked for and has not begun: before its time it is in nobody's way."""
    HELD = "held"
    """It waits for others of its job to end."""


Entry = tuple[Place, tuple[bool, datetime, RunId]]


class Occupancy:
    """Of one job. What is asked of it takes logarithmic time, however many runs of the job are open."""

    __slots__ = ("_by_place",)

    def __init__(self) -> None:
        self._by_place: dict[Place, list[tuple[bool, datetime, RunId]]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_place)

    def add(self, entry: Entry) -> None:
        place, key = entry
        insort(self._by_place.setdefault(place, []), key)

    def remove(self, entry: Entry) -> None:
        place, key = entry
        entries = self._by_place[place]
        del entries[bisect_left(entries, key)]
        if not entries:
            del self._by_place[place]

    def at_work(self, now: datetime) -> int:
        """How many are there at `now` and not held."""
        return len(self._in(Place.OPEN)) + self._asked(now)

    @property
    def held_count(self) -> int:
        return len(self._in(Place.HELD))

    def first_held(self, most: int) -> list[RunId]:
        return [run_id for _, _, run_id in self._in(Place.HELD)[:most]]

    def runs(self, now: datetime) -> Iterator[RunId]:
        """Those that are there at `now`; first what is at work, the longest due first."""
        asked = islice(self._in(Place.ASKED), self._asked(now))
        for _, _, run_id in chain(self._in(Place.OPEN), asked, self._in(Place.HELD)):
            yield run_id

    def entries(self) -> set[Entry]:
        """A copy."""
        return {(place, key) for place, keys in self._by_place.items() for key in keys}

    def _asked(self, now: datetime) -> int:
        return bisect_right(self._in(Place.ASKED), (False, now, RunId(_AFTER_ALL_IDS)))

    def _in(self, place: Place) -> list[tuple[bool, datetime, RunId]]:
        return self._by_place.get(place, [])


def entry_of(run: Run) -> Entry | None:
    """Where an open run stands in the occupancy of its job; None: it is of a backfill, which has a limit of its own.

    A run that was asked for a later time and has begun is there, also for a tick that goes on as of an earlier time.
    """
    status = run.status
    if run.held:
        return Place.HELD, (run.is_again, status.nominal_time, run.run_id)
    if status.kind is RunKind.BACKFILL or run.backfill_id:
        return None
    is_asked_for = status.kind is RunKind.REQUESTED or status.request_id is not None
    place = Place.ASKED if is_asked_for and not run.has_begun else Place.OPEN
    return place, (False, status.scheduled_time, run.run_id)
