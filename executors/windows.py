"""The windows that tell owners how many unfinished dispatches an executor takes (protocol D1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from schemas.heartbeat import Window

AHEAD = 2
"""Unfinished dispatches for a slot at least: the second one hides the round trip."""
AHEAD_TIME = timedelta(milliseconds=500)
"""Short runs wait beside a slot in larger numbers, for about so long: one round trip then brings what a slot starts
meanwhile, and not one run (docs/decisions/0017)."""
MOST_AHEAD = 16
"""For a slot, however short its runs are."""
_REMEMBERED = 10
"""Attempts whose mean says how long one holds its slot: the newest counts so much of it."""
_CHANGE = 1.5
"""Windows that should be so many times larger, or smaller, are worth a heartbeat of their own."""

_BESIDE_SECONDS = 0.05
"""What an attempt holds its slot for beside its process, on a machine that has time. What it is on a busy one does not
count: then fewer would be sent ahead, each would cost more, and the machine would be busier."""
_AS_IF = 1, AHEAD_TIME.total_seconds()
"""Before the first attempt has ended: as if one had, which leaves one beside each slot."""


class Windows:
    """What is advertised: windows follow the use that is made of them. Used from the event loop."""

    def __init__(self, slots: Mapping[str, int]) -> None:
        self._slots = slots
        self._holds: dict[str, tuple[int, float]] = {}
        """By class: of how many attempts (up to `_REMEMBERED`), and how long one of them held its slot."""
        self._most: dict[str, Counter[int]] = {name: Counter() for name in slots}
        """By class and partition, the most attempts at once since the last heartbeat: a moment alone says little."""
        self._advertised: dict[str, Mapping[int, int]] = {}

    def note_end(self, timeout_class: str, ran_seconds: float) -> None:
        """A process was there for so long."""
        count, mean = self._holds.get(timeout_class, _AS_IF)
        count = min(count + 1, _REMEMBERED)
        self._holds[timeout_class] = count, mean + (ran_seconds + _BESIDE_SECONDS - mean) / count

    def note(self, timeout_class: str, in_hand: Counter[int], held: Collection[int]) -> bool:
        """After a claim. True: a window is used up and there is more for it, or all of them should be of another size,
        which is to be said at once.
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
        _, hold_seconds = self._holds.get(timeout_class, _AS_IF)
        return window_of(self._slots[timeout_class], hold_seconds)


def window_of(slots: int, hold_seconds: float) -> int:
    """Unfinished dispatches of a class: those in its slots, and what they start within `AHEAD_TIME`."""
    turns = AHEAD_TIME.total_seconds() / max(hold_seconds, 1e-3)
    return int(slots * (1 + min(max(AHEAD - 1, turns), MOST_AHEAD - 1)))


def share(total: int, used: Mapping[int, int]) -> Mapping[int, int]:
    """`total` by partition: evenly among those that are busy, and a quarter of an even share stays where nothing is.

    No more than that, because a wide DAG lies in one partition: while it has all slots, more is to be on its way.
    A partition has room for twice what it uses, so that its use can grow; each has at least 1.
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
    """An executor that is about to leave takes nothing more."""
    return tuple(
        Window(timeout_class=name, partition=partition, size=0)
        for name, partitions in held.items()
        for partition in sorted(partitions)
    )
