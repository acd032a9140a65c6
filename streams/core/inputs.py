"""The inputs of `step`: records of the input topics, observations of the log, and time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from schemas.event import EventBatch
from schemas.heartbeat import Heartbeat
from schemas.ids import OwnerId, RunId
from schemas.job import Definition
from schemas.reasons import ProblemCode
from schemas.request import Request
from streams.core.effects import Origin


class DefinitionChanged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    definition: Definition
    origin: Origin


class RequestReceived(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    request: Request
    origin: Origin
    appended_at: datetime


class RequestMisplaced(msgspec.Struct, frozen=True, kw_only=True):
    """A request that lies in another partition than its job."""

    owner: OwnerId
    home: int
    origin: Origin


class ExecutorReported(msgspec.Struct, frozen=True, kw_only=True):
    batch: EventBatch
    appended_at: datetime


class RecordRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A record that cannot be read."""

    code: ProblemCode
    reason: str
    owner: str
    origin: Origin


class InputDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Records of an input topic were deleted, by retention or by hand, before they were applied."""

    topic: str
    first: int
    last: int


class HeartbeatHeard(msgspec.Struct, frozen=True, kw_only=True):
    heartbeat: Heartbeat
    appended_at: datetime


class ClockAdvanced(msgspec.Struct, frozen=True, kw_only=True):
    """Time has passed."""


class DispatchesCommitted(msgspec.Struct, frozen=True, kw_only=True):
    """By run: (token, offset) of each dispatch of a committed transaction."""

    offsets: Mapping[RunId, tuple[int, int]]


class DispatchesFound(msgspec.Struct, frozen=True, kw_only=True):
    """By run, after recovery: (token, offset) of each dispatch that is not claimed yet."""

    offsets: Mapping[RunId, tuple[int, int]]


class ClaimsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """By timeout class: the committed offset of the executors' consumer group in this partition."""

    claimed_below: Mapping[str, int]
    as_of: datetime
    """When the offsets were requested."""


class CaughtUp(msgspec.Struct, frozen=True, kw_only=True):
    """Events and heartbeats are applied up to the end offsets that were fetched at `as_of`."""

    as_of: datetime


class WasAway(msgspec.Struct, frozen=True, kw_only=True):
    """The partition owner could not commit or read until now."""

    since: datetime | None
    """The start of the absence; None: the owner has just taken over and knows nothing of the time before."""


class TakenOver(msgspec.Struct, frozen=True):
    """The first input of a partition owner that has jobs to quarantine or to try again."""


Input = (
    DefinitionChanged
    | RequestReceived
    | RequestMisplaced
    | ExecutorReported
    | RecordRefused
    | InputDeleted
    | HeartbeatHeard
    | ClockAdvanced
    | DispatchesCommitted
    | DispatchesFound
    | ClaimsSeen
    | CaughtUp
    | WasAway
    | TakenOver
)
