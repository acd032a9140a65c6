"""A heartbeat of the simulated executor `e.1`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from schemas.heartbeat import ExecutorState, Heartbeat


def heartbeat(at: datetime, **fields: Any) -> Heartbeat:
    """A heartbeat without windows and attempts; `fields` override any field."""
    identity = {"executor_id": "e.1", "name": "e", "host": "h", "version": "1", "state": ExecutorState.RUNNING}
    rest = {"at": at, "interval": timedelta(seconds=3), "slots": (), "windows": (), "attempts": ()}
    return Heartbeat(**{**identity, **rest, **fields})
