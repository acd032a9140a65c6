"""Kills of attempts that are not in hand: their dispatches may still be read, and are then never run (protocol L6)."""

from __future__ import annotations

from datetime import datetime

from schemas.control import Kill
from schemas.ids import RunId

MAX_REMEMBERED = 100_000
"""Beyond it the oldest are forgotten: such an attempt starts, and is killed when a heartbeat has listed it."""


class Kills:
    def __init__(self) -> None:
        self._until: dict[tuple[RunId, int], datetime] = {}
        """The longest remembered first."""

    def __len__(self) -> int:
        return len(self._until)

    def remember(self, kill: Kill, until: datetime, now: datetime) -> None:
        """Dispatches that may be run at `until` are younger than the kill."""
        self._until.pop((kill.run_id, kill.token), None)
        if until > now:
            self._until[kill.run_id, kill.token] = until
        while self._until and (len(self._until) > MAX_REMEMBERED or next(iter(self._until.values())) <= now):
            del self._until[next(iter(self._until))]

    def has(self, run_id: RunId, token: int) -> bool:
        return (run_id, token) in self._until
