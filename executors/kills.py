"""Remembers kill orders for attempts that are not claimed yet, so that their dispatches never run (protocol L6)."""

from __future__ import annotations

from datetime import datetime

from schemas.control import Kill
from schemas.ids import RunId

MAX_REMEMBERED = 100_000
"""Forget the oldest beyond this number: such an attempt starts, and its owner kills it when a heartbeat lists it."""


class Kills:
    def __init__(self) -> None:
        self._until: dict[tuple[RunId, int], datetime] = {}
        """When to forget each order; the oldest order first."""

    def __len__(self) -> int:
        return len(self._until)

    def remember(self, kill: Kill, until: datetime, now: datetime) -> None:
        """After `until`, dispatches older than the kill have expired."""
        self._until.pop((kill.run_id, kill.token), None)
        if until > now:
            self._until[kill.run_id, kill.token] = until
        while self._until and (len(self._until) > MAX_REMEMBERED or next(iter(self._until.values())) <= now):
            del self._until[next(iter(self._until))]

    def has(self, run_id: RunId, token: int) -> bool:
        return (run_id, token) in self._until
