"""The worker's one source of time: CLOCK_BOOTTIME and what acknowledged records say of the brokers' clock."""

from __future__ import annotations

import threading
import time
from datetime import datetime

import structlog

from schemas.cluster_clock import ClusterClock

log = structlog.get_logger()


def boot_seconds() -> float:
    """Seconds since boot, suspension included; no clock change moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class WorkerClock:
    """Cluster time, shared by the owners of a worker. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clock = ClusterClock()
        self._was_steady = False

    def observe(self, *, sent: float, acknowledged: float, appended_ms: int) -> None:
        """See `ClusterClock.observe`. Says so when the clock stops or can be believed again."""
        with self._lock:
            self._clock.observe(sent=sent, acknowledged=acknowledged, appended_ms=appended_ms)
            steady = self._clock.is_steady
            changed, self._was_steady = steady != self._was_steady, steady
        if changed and steady:
            log.info("clock_steady")
        elif changed:
            log.error("clock_jumped", note="ticking stops until the offset to the brokers' clock is confirmed")

    def now(self) -> datetime:
        with self._lock:
            return self._clock.now(boot_seconds())

    @property
    def is_steady(self) -> bool:
        with self._lock:
            return self._clock.is_steady
