"""A heartbeat as an executor of the simulated log sends it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from schemas.heartbeat import ExecutorState, Heartbeat


def heartbeat(at: datetime, **fields: Any) -> Heartbeat:
    """Of `e.1`, without windows and attempts unless `fields` say otherwise."""
    plain = {"executor_id": "e.1", "name": "e", "host": "h", "version": "1", "state": ExecutorState.RUNNING}
    rest = {"at": at, "interval": timedelta(seconds=3), "slots": (), "windows": (), "attempts": ()}
    return Heartbeat(**{**plain, **rest, **fields})
