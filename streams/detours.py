"""What comes by the thousand goes around Faust: the holder of the partition is told, and reads it by itself.

To Faust a record costs 300 µs, to a holder that reads it 20 µs. Faust is quick with the few records of every day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

P = TypeVar("P")

MOST_OF_A_FETCH = 256
"""Records that Faust takes at once: 80 ms, in which it delivers nothing else."""
MOST_OF_CDC = 64
"""The same of `cdc`: people write few rows at once, or by the thousand. Then fetches of 200 would never be too many."""
FEW = 20
"""Between two looks. A detour ends where no more came for `QUIET_LOOKS` of them."""
QUIET_LOOKS = 5


class Detours(Generic[P]):
    """Pure. `P` is a partition of a topic. A detour begins with a large fetch, and goes on by looks at the end."""

    __slots__ = ("_quiet", "_skipped", "places")

    def __init__(self) -> None:
        self.places: dict[P, int] = {}
        """Those that go around Faust, with the offset up to which they do."""
        self._quiet: dict[P, int] = {}
        """Looks in a row that found few."""
        self._skipped: dict[P, int] = {}
        """The last offset that Faust did not get, until it is applied."""

    def begin(self, fetched: Mapping[P, Sequence[int]], most: int) -> set[P]:
        """Those of a fetch that take a detour: the largest, until the rest is at most so many. Values are offsets."""
        left = sum(map(len, fetched.values()))
        begun = set()
        for place in sorted(fetched, key=lambda each: len(fetched[each]), reverse=True):
            if left <= most:
                break
            left -= len(fetched[place])
            self._pass(place, fetched[place][-1] + 1)
            begun.add(place)
        return begun

    def look(self, ends: Mapping[P, int | None]) -> dict[P, int]:
        """Those of which more has come, with the offset up to which that goes around Faust. Others may end here.

        `ends` are those of all partitions that are held; None is not known yet.
        """
        found = {}
        for place in self.places.keys() - ends.keys():
            del self.places[place], self._quiet[place]
        for place, end in ends.items():
            if place not in self.places or end is None:
                continue
            came = end - self.places[place]
            self._quiet[place] = self._quiet[place] + 1 if came <= FEW else 0
            if came > 0:
                self._pass(place, end)
                found[place] = end
            elif self._quiet[place] >= QUIET_LOOKS:
                del self.places[place], self._quiet[place]
        return found

    def applied(self, place: P, offset: int) -> bool:
        """Whether all that Faust did not get of it is applied now: Faust may commit that."""
        skipped = self._skipped.get(place)
        if skipped is None or offset < skipped:
            return False
        del self._skipped[place]
        return True

    def forget(self) -> None:
        """After a rebalance Faust fetches anew whatever it has not committed."""
        self.places.clear()
        self._quiet.clear()
        self._skipped.clear()

    def _pass(self, place: P, end: int) -> None:
        self.places[place], self._skipped[place] = end, end - 1
        self._quiet.setdefault(place, 0)
