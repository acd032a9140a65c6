"""The clocks of an executor: seconds of CLOCK_BOOTTIME, and cluster now, which several threads may ask."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from executors.supervisor import boot_seconds
from schemas.cluster_clock import ClusterClock

__all__ = ["SharedClock", "boot_seconds"]


class SharedClock:
    def __init__(self) -> None:
        self._clock, self._lock = ClusterClock(), threading.Lock()

    @property
    def is_steady(self) -> bool:
        with self._lock:
            return self._clock.is_steady

    def observe(self, *, sent: float, acknowledged: float, appended_ms: int) -> None:
        with self._lock:
            self._clock.observe(sent=sent, acknowledged=acknowledged, appended_ms=appended_ms)

    def now(self) -> datetime:
        with self._lock:
            return self._clock.now(boot_seconds())

    def at(self, boot: float) -> datetime:
        """Cluster time of a moment of CLOCK_BOOTTIME that is past."""
        now, present = boot_seconds(), self.now()
        return present - timedelta(seconds=max(now - boot, 0.0))
