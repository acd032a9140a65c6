"""The one deadline for everything that an executor does after SIGTERM."""

from __future__ import annotations

import signal
import time

LAST_SECONDS = 10.0
"""For the events of the last attempts, the last heartbeat, the supervisor and the work directory. If Kafka is
unreachable for longer, these events are lost, and their attempts count as lost."""


class StopDeadline:
    def __init__(self, seconds: float) -> None:
        """`seconds` after `begin` the process has ended. Who started it must wait a little longer before SIGKILL."""
        self._seconds = seconds
        self._at = self._began = float("inf")

    def begin(self) -> None:
        """Only the first call counts. Whatever hangs at the deadline, SIGALRM ends the process."""
        if self._at == float("inf"):
            self._began = time.monotonic()
            self._at = self._began + self._seconds
            signal.setitimer(signal.ITIMER_REAL, self._seconds)

    @property
    def elapsed(self) -> float:
        """Seconds since `begin`; 0 before."""
        return max(time.monotonic() - self._began, 0.0)

    def left(self, reserved: float = 0.0) -> float:
        """Seconds until so long before the deadline; never less than 0."""
        return max(self._at - reserved - time.monotonic(), 0.0)
