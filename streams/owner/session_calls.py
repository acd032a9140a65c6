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
    """The log refused a call or did not answer. The driver throws this into the session at the failed call."""

    def __init__(self, reason: str, *, never_fits: bool = False) -> None:
        self.never_fits = never_fits
        """The transaction is larger than the brokers accept: a retry cannot succeed (protocol I7)."""
        super().__init__(reason)


class ClockReading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The worker's clock at the time of an answer."""

    now: datetime
    """Cluster time (protocol T1)."""
    is_steady: bool
    boot_seconds: float
    """CLOCK_BOOTTIME, to measure durations."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer to a call."""

    value: Any
    """Has the type that the call names."""
    reading: ClockReading
    is_stopping: bool = False
    """The session has to end now."""
    is_handing_over: bool = False
    """The partition was lost, or the worker ends: decide until another worker fences, then end."""


class Call(msgspec.Struct, Generic[T], frozen=True, kw_only=True, gc=False):
    """`T` is the type of the answer's value."""


class CheckAssignment(Call[bool | None], frozen=True):
    """Ask the group's coordinator whether this worker has the partition (protocol O4). None: not decided yet."""


class Release(Call[bool], frozen=True):
    """Release the partition. False: it was assigned again after the check, so the session has to check again."""


class Pause(Call[None], frozen=True, kw_only=True):
    length: timedelta


class Prepare(Call[None], frozen=True):
    """Connect, so that fencing is quick."""


class Fence(Call[None], frozen=True):
    """After the answer no earlier owner of the partition can commit, and its open transaction is aborted."""


class Settle(Call[None], frozen=True):
    """After the answer the last transaction of the earlier owner is decided (docs/decisions/0006)."""


class ReadState(Call[Iterable[Entry]], frozen=True, kw_only=True):
    """Read the partition of `state` after this offset, to its end as it is now."""

    after: int


class ReadUnclaimed(Call[Mapping[RunId, tuple[int, int]]], frozen=True):
    """Read the dispatches that no executor has claimed: (token, offset) by run (protocol D5)."""


class GetHeartbeats(Call[Iterable[HeartbeatHeard]], frozen=True):
    """Return the last heartbeat of each executor that may be alive."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive records of an input topic."""

    records: tuple[InRecord, ...]
    first: int
    """The first offset that the topic still has."""
    through: int
    """Every readable record up to this offset has been read, here or before."""
    end: int
    """The read_committed end (protocol O8): `until`, or the end as it is now if that is smaller."""


class Read(Call[Chunk], frozen=True, kw_only=True):
    """Read an input topic after this offset."""

    topic: str
    after: int
    until: int | None
    """Read no further than this end; None: the end as it is now."""
    records: int
    """At most this many records."""
    bytes: int
    """Stop after the record that exceeds this size."""


class Taken(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Deliveries, in order."""

    items: tuple[InRecord | Input | Resync | DeliveryStopped, ...]
    is_all: bool
    """No more deliveries were waiting."""


class Resync(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries may have been skipped: read the input topics from the applied offsets."""

    topic: str | None = None
    """Read only this topic; None: all of them."""


class DeliveryStopped(msgspec.Struct, frozen=True):
    """Nothing is delivered until the next `Resync`: read the input topics at short intervals."""


class Take(Call[Taken], frozen=True, kw_only=True):
    """Wait for a delivery, then until `gather_until_boot_seconds` for more, and return them."""

    patience: timedelta
    """How long to wait for the first one."""
    gather_until_boot_seconds: float
    """`patience` limits this wait too."""
    limit: int


class ReadClaims(Call[Mapping[str, int]], frozen=True):
    """Ask, by timeout class, below which offset every dispatch of this partition is claimed, or deleted by age."""


class ReadExecutorEnds(Call[Mapping[int, int]], frozen=True):
    """Ask for the end of each partition of the topic `executors`: heartbeats concern every owner."""


class HeartbeatOffsets(msgspec.Struct, frozen=True, kw_only=True):
    delivered: Mapping[int, int]
    """By partition of `executors`: the offset up to which the worker has delivered all heartbeats."""
    waiting: int
    """The number of deliveries that wait for the session, heartbeats included."""


class GetHeartbeatOffsets(Call[HeartbeatOffsets], frozen=True):
    """Ask which heartbeats have been delivered."""


class Forward(Call[None], frozen=True, kw_only=True):
    """When the answer arrives, the home partitions have acknowledged the records (docs/decisions/0009)."""

    records: tuple[Forwarding, ...]


class Commit(Call["CommitResult"], frozen=True, kw_only=True):
    """All or nothing. After a failure the outcome is unknown (protocol O3)."""

    transaction: Transaction


class CommitResult(msgspec.Struct, frozen=True, kw_only=True):
    dispatches: Mapping[RunId, tuple[int, int]]
    """(token, offset) of the dispatches, by run."""
    seconds: float
    """The duration of the commit."""


class Recovered(Call[None], frozen=True, kw_only=True):
    """The owner decides from now on. The worker logs this, and is ready when all its owners decide."""

    jobs: int
    open_runs: int
    watermark: datetime


class Failed(Call[None], frozen=True, kw_only=True):
    """The session discards the owner; the next one starts with `CheckAssignment`."""

    phase: str
    error: Exception


Steps = Generator[Call[Any], Answer, T]
"""A part of a session: it yields calls and returns a T."""


class StoppedError(TidemillError):
    """The session has to end. It catches this itself."""


def perform(call: Call[Any]) -> Steps[Answer]:
    """Yield one call. Raises what the driver throws, and `StoppedError` if the answer says `is_stopping`."""
    answer = yield call
    if answer.is_stopping:
        raise StoppedError("the worker ends")
    return answer
