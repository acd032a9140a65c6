"""The log of faults: one JSON object a line, with the seed in the first one."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path

import msgspec


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """A fault with its times, by the clock of this machine."""

    at: datetime
    fault: str
    target: str
    until: datetime
    alone: bool = False
    """No other fault was near."""
    left_out: str | None = None
    """Why it did not happen."""


class Log:
    """Several lanes write to it."""

    def __init__(self, path: Path, seed: int, minutes: float, now: datetime) -> None:
        self.path, self._lock = path, threading.Lock()
        self.happened: list[Happened] = []
        first = {"at": now, "until": now, "fault": "none", "target": "", "seed": seed, "minutes": minutes}
        path.write_bytes(msgspec.json.encode(first) + b"\n")

    def add(self, each: Happened) -> None:
        with self._lock, self.path.open("ab") as file:
            self.happened.append(each)
            file.write(msgspec.json.encode(each) + b"\n")
