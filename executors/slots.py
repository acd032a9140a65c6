"""Slots per timeout class, and the windows that tell owners how much an executor takes (protocol D1)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from schemas import heartbeat
from schemas.heartbeat import Window

_AHEAD = 2
"""Unfinished dispatches per slot: the second one hides the round trip."""


class Slots:
    """How many slots are taken; consumer threads take them, the event loop gives them back."""

    def __init__(self, total: Mapping[str, int]) -> None:
        self._total = dict(total)
        self._free = dict(total)
        self._freed = threading.Condition()

    def free(self, timeout_class: str) -> int:
        with self._freed:
            return self._free[timeout_class]

    def take(self, timeout_class: str, count: int) -> None:
        with self._freed:
            self._free[timeout_class] -= count
            assert self._free[timeout_class] >= 0, "more attempts than slots"

    def give(self, timeout_class: str, count: int) -> None:
        with self._freed:
            self._free[timeout_class] += count
            self._freed.notify_all()

    def wait_free(self, timeout_class: str, seconds: float) -> None:
        """Until a slot of the class is free, at most so long."""
        with self._freed:
            self._freed.wait_for(lambda: self._free[timeout_class] > 0, seconds)

    def report(self) -> tuple[heartbeat.Slots, ...]:
        with self._freed:
            return tuple(
                heartbeat.Slots(timeout_class=name, total=total, free=self._free[name])
                for name, total in self._total.items()
            )


class Windows:
    """What is advertised: windows follow the use that is made of them. Used from the event loop."""

    def __init__(self, slots: Mapping[str, int]) -> None:
        self._slots = slots
        self._most: dict[str, Counter[int]] = {name: Counter() for name in slots}
        """By class and partition, the most attempts at once since the last heartbeat: a moment alone says little."""
        self._advertised: dict[str, Mapping[int, int]] = {}

    def note(self, timeout_class: str, in_hand: Counter[int], held: Collection[int]) -> bool:
        """After a claim. True: a window is used up and there is more for it, which is to be said at once."""
        self._most[timeout_class] |= in_hand
        advertised = self._advertised.get(timeout_class, {})
        full = [each for each in held if in_hand[each] >= advertised.get(each, 0)]
        if not full:
            return False
        sizes = share(_AHEAD * self._slots[timeout_class], {each: self._most[timeout_class][each] for each in held})
        return any(sizes[each] > advertised.get(each, 0) for each in full)

    def advertise(
        self, held: Mapping[str, Collection[int]], in_hand: Callable[[str], Counter[int]]
    ) -> tuple[Window, ...]:
        for name, partitions in held.items():
            most = self._most[name] | in_hand(name)
            self._advertised[name] = share(_AHEAD * self._slots[name], {each: most[each] for each in partitions})
            self._most[name] = in_hand(name)
        return tuple(
            Window(timeout_class=name, partition=partition, size=size)
            for name in held
            for partition, size in sorted(self._advertised[name].items())
        )


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
