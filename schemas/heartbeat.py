"""What an executor says of itself every few seconds on the topic `executors`, keyed by its id."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

import msgspec

from schemas.ids import ExecutorId, RunId


class ExecutorState(Enum):
    RUNNING = "running"
    DRAINING = "draining"
    """Finishes what it has, claims nothing more."""
    GONE = "gone"
    """The last word of an executor that left cleanly."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """How many unfinished dispatches the holder of one runs partition takes there (protocol D1)."""

    timeout_class: str
    partition: int
    size: int


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    timeout_class: str
    total: int
    free: int


class AttemptInHand(msgspec.Struct, frozen=True, kw_only=True):
    run_id: RunId
    token: int
    partition: int
    """From which it was claimed: that of its owner."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    executor_id: ExecutorId
    name: str
    host: str
    version: str
    state: ExecutorState
    at: datetime
    interval: timedelta
    margin: timedelta = timedelta(seconds=5)
    """Its processes are gone so long before their lease ends."""
    cluster_version: int = 0
    """Of the deployment's settings that it goes by."""
    slots: tuple[Slots, ...]
    windows: tuple[Window, ...]
    attempts: tuple[AttemptInHand, ...]
