"""Computes an executor's windows: how many unfinished dispatches it accepts per class and partition (protocol D1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from schemas.heartbeat import Window

AHEAD = 2
"""The minimum of unfinished dispatches for each slot: while one runs, the next one is fetched."""
AHEAD_TIME = timedelta(milliseconds=500)
"""Dispatches wait for a slot for about so long: if runs are short, one round trip then fetches several of them
(docs/decisions/0017)."""
MOST_AHEAD = 16
"""The maximum of unfinished dispatches for each slot, however short its runs are."""
_MEAN_OF = 10
"""The mean time in a slot gives the newest attempt a weight of 1 in so many."""
_CHANGE = 1.5
"""Send a heartbeat at once if the windows should grow or shrink by this factor."""

_OVERHEAD_SECONDS = 0.05
"""How long an attempt holds its slot before and after its process, on an idle machine. The overhead on a busy machine
does not count: it would make the windows smaller, which costs more for each dispatch and makes the machine busier."""
_INITIAL_MEAN = 1, AHEAD_TIME.total_seconds()
"""(count, seconds) before the first attempt has ended: it gives each slot one waiting dispatch."""


class Windows:
    """The windows that heartbeats advertise; they follow their use. Used from the event loop."""

    def __init__(self, slots: Mapping[str, int]) -> None:
        self._slots = slots
        self._holds: dict[str, tuple[int, float]] = {}
        """By class: the number of attempts (at most `_MEAN_OF`), and their mean time in the slot."""
        self._most: dict[str, Counter[int]] = {name: Counter() for name in slots}
        """By class and partition: the maximum of unfinished dispatches since the last heartbeat."""
        self._advertised: dict[str, Mapping[int, int]] = {}

    def note_end(self, timeout_class: str, ran_seconds: float) -> None:
        """A process of this class ran for so long."""
        count, mean = self._holds.get(timeout_class, _INITIAL_MEAN)
        count = min(count + 1, _MEAN_OF)
        self._holds[timeout_class] = count, mean + (ran_seconds + _OVERHEAD_SECONDS - mean) / count

    def note(self, timeout_class: str, in_hand: Counter[int], held: Collection[int]) -> bool:
        """Call this after a claim. True if a heartbeat should follow at once: a window is used up and can grow, or the
        sum of the windows should change by the factor `_CHANGE`.
        """
        self._most[timeout_class] |= in_hand
        advertised = self._advertised.get(timeout_class, {})
        before, total = sum(advertised.values()), max(self._total(timeout_class), len(held))  # each has at least 1
        if not before <= total * _CHANGE <= before * _CHANGE**2:
            return True
        full = [each for each in held if in_hand[each] >= advertised.get(each, 0)]
        if not full:
            return False
        sizes = share(total, {each: self._most[timeout_class][each] for each in held})
        return any(sizes[each] > advertised.get(each, 0) for each in full)

    def advertise(
        self, held: Mapping[str, Collection[int]], in_hand: Callable[[str], Counter[int]]
    ) -> tuple[Window, ...]:
        for name, partitions in held.items():
            most = self._most[name] | in_hand(name)
            self._advertised[name] = share(self._total(name), {each: most[each] for each in partitions})
            self._most[name] = in_hand(name)
        return tuple(
            Window(timeout_class=name, partition=partition, size=size)
            for name in held
            for partition, size in sorted(self._advertised[name].items())
        )

    def _total(self, timeout_class: str) -> int:
        _, hold_seconds = self._holds.get(timeout_class, _INITIAL_MEAN)
        return window_of(self._slots[timeout_class], hold_seconds)


def window_of(slots: int, hold_seconds: float) -> int:
    """The sum of a class's windows: its slots, and the dispatches that they start within `AHEAD_TIME`."""
    turns = AHEAD_TIME.total_seconds() / max(hold_seconds, 1e-3)
    return int(slots * (1 + min(max(AHEAD - 1, turns), MOST_AHEAD - 1)))


def share(total: int, used: Mapping[int, int]) -> Mapping[int, int]:
    """`total` by partition: idle partitions get a quarter of an even share, busy ones share the rest evenly.

    Idle ones get so little because all nodes of a wide DAG lie in one partition, which then needs a large window.
    A partition gets at least twice what it uses, if there is enough, so that its use can grow; each gets at least 1.
    """
    if not used:
        return {}
    reserve = max(1, total // len(used) // 4)
    sizes: dict[int, int] = {}
    rest = total
    for partition in sorted(used, key=lambda each: used[each]):
        sizes[partition] = max(1, min(reserve + 2 * used[partition], rest // (len(used) - len(sizes))))
        rest -= sizes[partition]
    more = max(0, rest) // len(used)
    return {partition: size + more for partition, size in sizes.items()}


def no_windows(held: Mapping[str, Collection[int]]) -> tuple[Window, ...]:
    """Windows of 0, for an executor that leaves: it accepts no more dispatches."""
    return tuple(
        Window(timeout_class=name, partition=partition, size=0)
        for name, partitions in held.items()
        for partition in sorted(partitions)
    )
