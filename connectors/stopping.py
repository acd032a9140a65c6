"""A stop request, set by SIGTERM and SIGINT: loops check it, and it ends their waits."""

from __future__ import annotations

import os
import select
import signal
import threading
from datetime import timedelta

from observe.health import Health

_LONG = timedelta(hours=1)


class Stop:
    """Once requested, it stays so. It uses a pipe, because a signal handler must not take a lock."""

    __slots__ = ("_read", "_write", "requested")

    def __init__(self) -> None:
        self.requested = False
        self._read, self._write = os.pipe()

    def request(self) -> None:
        if not self.requested:
            self.requested = True
            os.write(self._write, b"x")

    def wait(self, longest: timedelta) -> None:
        """Wait until a stop is requested, at most `longest`."""
        select.select([self._read], [], [], longest.total_seconds())


def leave_when_requested(stop: Stop, health: Health) -> None:
    """From the request on the process is not ready, even if its loop notices the request only later."""

    def leave() -> None:
        while not stop.requested:
            stop.wait(_LONG)
        health.leave()

    threading.Thread(target=leave, name="leave", daemon=True).start()


def stop_on_signals() -> Stop:
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.request())
    return stop
