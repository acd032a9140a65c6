"""Slots per timeout class: how many attempts an executor has at a time."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from schemas import heartbeat


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

    def wait_free(self, timeout_class: str, count: int, seconds: float) -> None:
        """Until so many slots of the class are free, or all that there are, at most so long."""
        count = min(count, self._total[timeout_class])
        with self._freed:
            self._freed.wait_for(lambda: self._free[timeout_class] >= count, max(seconds, 0.0))

    def report(self) -> tuple[heartbeat.Slots, ...]:
        with self._freed:
            return tuple(
                heartbeat.Slots(timeout_class=name, total=total, free=self._free[name])
                for name, total in self._total.items()
            )
