"""The health of a process: it is live while its loops turn, and ready while it does its work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

STARTING = "it is starting"


class Loop:
    """A loop of the process. It calls `turn` at least once in `limit`, or the process counts as not live."""

    __slots__ = ("_clock", "_turned", "limit", "name")

    def __init__(self, name: str, limit: timedelta, clock: Callable[[], float]) -> None:
        self.name, self.limit = name, limit
        self._clock = clock
        self._turned = clock()

    def turn(self) -> None:
        self._turned = self._clock()

    @property
    def silent_seconds(self) -> float:
        return self._clock() - self._turned


class Health:
    """Thread-safe: the loops of a process report here, and its port reads it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._loops: dict[str, Loop] = {}
        self._not_ready: str | None = STARTING
        self._is_leaving = False

    def loop(self, name: str, limit: timedelta) -> Loop:
        """Begin to watch a loop; a second loop of the same name replaces the first."""
        loop = Loop(name, limit, self._clock)
        with self._lock:
            self._loops[name] = loop
        return loop

    def end(self, loop: Loop) -> None:
        """The loop has ended as planned."""
        with self._lock:
            if self._loops.get(loop.name) is loop:
                del self._loops[loop.name]

    def ready(self) -> None:
        """The process does its work from now on. After `leave` it has no effect."""
        with self._lock:
            if not self._is_leaving:
                self._not_ready = None

    def not_ready(self, reason: str) -> None:
        """The process does not do its work now; `reason` is a clause such as `Postgres does not answer`."""
        with self._lock:
            if not self._is_leaving:
                self._not_ready = reason

    def leave(self, reason: str = "it is stopping") -> None:
        """The first step of a planned stop: not ready, and never ready again."""
        with self._lock:
            self._is_leaving, self._not_ready = True, reason

    @property
    def why_not_ready(self) -> str | None:
        """None: it is ready. A process that is not live is not ready."""
        with self._lock:
            reason = self._not_ready
        return reason or self.why_not_live

    @property
    def why_not_live(self) -> str | None:
        """None: every loop turns."""
        with self._lock:
            late = [each for each in self._loops.values() if each.silent_seconds > each.limit.total_seconds()]
        said = [
            f"the loop {each.name!r} has not turned for {each.silent_seconds:.0f} s;"
            f" {each.limit.total_seconds():g} s are allowed"
            for each in late
        ]
        return "; ".join(said) or None
