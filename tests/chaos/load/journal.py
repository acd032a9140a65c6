"""The journal of a load: one line for each act, with what was asked and what was answered."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from schemas.times import EPOCH
from tests.chaos.judge.history import Began, Entry


class Journal:
    def __init__(self, path: Path, seed: int) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._boot_is = boot_time_zero()
        self.write(Began(at=self.now(), seed=seed, boot_is=self._boot_is))

    def now(self) -> datetime:
        """Does not follow steps of the wall clock."""
        return self._boot_is + timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))

    def write(self, entry: Entry) -> None:
        with self._lock:
            self._file.write(msgspec.json.encode(entry) + b"\n")

    def close(self) -> None:
        self._file.close()


def boot_time_zero() -> datetime:
    """Wall time when the boot-time clock was 0."""
    real, boot = time.clock_gettime(time.CLOCK_REALTIME), time.clock_gettime(time.CLOCK_BOOTTIME)
    return EPOCH + timedelta(seconds=real - boot)
