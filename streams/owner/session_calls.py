"""The calls of a session to the outside, and their answers, as values.

`streams/partition_thread.py` answers with Kafka; tests and the simulator answer from a log in memory. They can inject
any fault between two calls: a crash is a session that they drop there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec

from schemas.errors import TidemillError
from schemas.ids import RunId
from streams.core.inputs import HeartbeatHeard, Input
from streams.owner.records import Forwarding, InRecord, Transaction
from streams.owner.replay import Entry

T = TypeVar("T")


class LogFailedError(TidemillError):
    """The log did not do what was asked, or did not answer. Thrown into the session at the call that failed."""

    def __init__(self, reason: str, *, never_fits: bool = False) -> None:
        self.never_fits = never_fits
        """The transaction is larger than the brokers take: trying it again is in vain (protocol I7)."""
        super().__init__(reason)


class ClockReading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The worker's clock at the time of an answer."""

    now: datetime
    """Cluster time (protocol T1)."""
    is_steady: bool
    boot_seconds: float
    """CLOCK_BOOTTIME: for lengths of time."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """To any call."""

    value: Any
    """What the call's type says."""
    reading: ClockReading
    is_stopping: bool = False
    """The session ends here."""
    is_handing_over: bool = False
    """The partition was taken away, or the worker ends: decide until another worker fences, and then end."""


class Call(msgspec.Struct, Generic[T], frozen=True, kw_only=True, gc=False):
    """`T` is the type of the answer's value."""


class CheckAssignment(Call[bool | None], frozen=True):
    """Does this worker hold the partition, as the group's coordinator sees it (protocol O4)? None: being decided."""


class Release(Call[bool], frozen=True):
    """Let go of the partition. False: it was assigned again since it was asked for, so it has to be asked for anew."""


class Pause(Call[None], frozen=True, kw_only=True):
    length: timedelta


class Prepare(Call[None], frozen=True):
    """Connect, so that fencing takes no longer than it must."""


class Fence(Call[None], frozen=True):
    """From the answer on no earlier owner of the partition can commit; what it left open is aborted."""


class Settle(Call[None], frozen=True):
    """From the answer on the last transaction of the earlier owner is decided (docs/decisions/0006)."""


class ReadState(Call[Iterable[Entry]], frozen=True, kw_only=True):
    """The log of the partition of `state` after this offset, to its end as it is now."""

    after: int


class ReadUnclaimed(Call[Mapping[RunId, tuple[int, int]]], frozen=True):
    """The dispatches in the log that no executor has claimed: (token, offset) by run (protocol D5)."""


class GetHeartbeats(Call[Iterable[HeartbeatHeard]], frozen=True):
    """The last heartbeat of each executor that may be alive."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an input topic, in order."""

    records: tuple[InRecord, ...]
    first: int
    """The first offset that the topic still has."""
    through: int
    """Every readable record up to this offset has been read, here or before."""
    end: int
    """The read_committed end (protocol O8): as it was given, or as it is now."""


class Read(Call[Chunk], frozen=True, kw_only=True):
    """The records of an input topic after this offset."""

    topic: str
    after: int
    until: int | None
    """Not further than to this end; None: to the end as it is now."""
    records: int
    """At most so many."""
    bytes: int
    """About so many."""


class Taken(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was delivered."""

    items: tuple[InRecord | Input | Resync | DeliveryStopped, ...]
    is_all: bool
    """Nothing more was there."""


class Resync(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries may have been skipped: read the input topics from what is applied."""

    topic: str | None = None
    """Of this one alone; None: of all."""


class DeliveryStopped(msgspec.Struct, frozen=True):
    """Nothing is delivered until the next `Resync`: read the input topics every moment."""


class Take(Call[Taken], frozen=True, kw_only=True):
    """Wait for a delivery, then until `gather_until_boot_seconds` for others to gather, and take what is there."""

    patience: timedelta
    """How long to wait for the first one."""
    gather_until_boot_seconds: float
    """By the boot clock. Never longer than `patience`."""
    limit: int


class ReadClaims(Call[Mapping[str, int]], frozen=True):
    """By timeout class: the offset in this partition below which every dispatch is claimed, or deleted by its age."""


class ReadExecutorEnds(Call[Mapping[int, int]], frozen=True):
    """The end of each partition of the topic `executors`: heartbeats concern every owner."""


class HeartbeatOffsets(msgspec.Struct, frozen=True, kw_only=True):
    delivered: Mapping[int, int]
    """By partition of `executors`: how far the worker has read it, and delivered what it read."""
    waiting: int
    """Deliveries that wait for the session, those heartbeats among them."""


class GetHeartbeatOffsets(Call[HeartbeatOffsets], frozen=True):
    """How far the heartbeats have come."""


class Forward(Call[None], frozen=True, kw_only=True):
    """Acknowledged by their home partitions when the answer comes (docs/decisions/0009)."""

    records: tuple[Forwarding, ...]


class Commit(Call["CommitResult"], frozen=True, kw_only=True):
    """All or nothing. After a failure the outcome is unknown (protocol O3)."""

    transaction: Transaction


class CommitResult(msgspec.Struct, frozen=True, kw_only=True):
    placed: Mapping[RunId, tuple[int, int]]
    """Where its dispatches stand: (token, offset) by run."""
    seconds: float
    """How long it took."""


class Recovered(Call[None], frozen=True, kw_only=True):
    """The owner decides from now on. The worker logs it, and is ready when all of its owners do."""

    jobs: int
    open_runs: int
    watermark: datetime


class Failed(Call[None], frozen=True, kw_only=True):
    """The memory of this owner is thrown away; the next one begins with the question whether it may."""

    phase: str
    error: Exception


Steps = Generator[Call[Any], Answer, T]
"""A part of a session: it makes calls, and returns a T."""


class StoppedError(TidemillError):
    """The session is to end here; it catches this itself."""


def perform(call: Call[Any]) -> Steps[Answer]:
    """One call. Raises what the driver throws, or `StoppedError` where the answer says so."""
    answer = yield call
    if answer.is_stopping:
        raise StoppedError("the worker ends")
    return answer
