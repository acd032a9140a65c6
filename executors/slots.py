"""Counts the free slots of each timeout class; each attempt takes one."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from schemas import heartbeat


class Slots:
    """Thread-safe: consumer threads take slots, the event loop releases them."""

    def __init__(self, total: Mapping[str, int]) -> None:
        self._total = dict(total)
        self._free = dict(total)
        self._freed = threading.Condition()

    def free(self, timeout_class: str) -> int:
        with self._freed:
            return self._free[timeout_class]

    def busy(self, timeout_class: str) -> int:
        with self._freed:
            return self._total[timeout_class] - self._free[timeout_class]

    def take(self, timeout_class: str, count: int) -> None:
        with self._freed:
            self._free[timeout_class] -= count
            assert self._free[timeout_class] >= 0, "more attempts than slots"

    def release(self, timeout_class: str, count: int) -> None:
        with self._freed:
            self._free[timeout_class] += count
            self._freed.notify_all()

    def wait_free(self, timeout_class: str, count: int, seconds: float) -> None:
        """Wait at most `seconds` until `count` slots of the class, or all of its slots, are free."""
        count = min(count, self._total[timeout_class])
        with self._freed:
            self._freed.wait_for(lambda: self._free[timeout_class] >= count, max(seconds, 0.0))

    def report(self) -> tuple[heartbeat.Slots, ...]:
        with self._freed:
            return tuple(
                heartbeat.Slots(timeout_class=name, total=total, free=self._free[name])
                for name, total in self._total.items()
            )
