"""The heartbeat that an executor sends every few seconds to the topic `executors`, keyed by its id."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

import msgspec

from schemas.confinement import Capabilities
from schemas.ids import ExecutorId, RunId


class ExecutorState(Enum):
    RUNNING = "running"
    DRAINING = "draining"
    """It finishes its attempts and claims no more."""
    GONE = "gone"
    """The last heartbeat of an executor that stopped cleanly."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """How many unfinished dispatches an executor takes from one runs partition (protocol D1)."""

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
    """The runs partition that it was claimed from, which is its owner's partition."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    executor_id: ExecutorId
    name: str
    host: str
    version: str
    state: ExecutorState
    at: datetime
    interval: timedelta
    margin: timedelta = timedelta(seconds=5)
    """The executor ends its processes this long before their lease expires."""
    cluster_version: int = 0
    """The version of the deployment's settings that it uses."""
    ill: str | None = None
    """Why attempts cannot run here; None: it is well. An ill one holds no partitions, unless all executors miss S3."""
    capabilities: Capabilities | None = None
    """What it enforces; None: an earlier release sent it."""
    slots: tuple[Slots, ...]
    windows: tuple[Window, ...]
    attempts: tuple[AttemptInHand, ...]
