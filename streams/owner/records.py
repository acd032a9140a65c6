"""Records as an owner reads and writes them, free of any client; topic names have no prefix."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.ids import RunId
from schemas.unreadable import Unreadable


class InRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    topic: str
    offset: int
    key: bytes | None
    value: bytes | None
    appended_at: datetime
    is_forwarded: bool = False
    """Another owner found it in its partition and handed it on."""
    unreadable: Unreadable | None = None
    """It stands for records that the client cannot read; `offset` is that of the last of them."""


class Reached(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Stands behind the records of a topic that was read to its end: up to `offset` there is nothing else."""

    offset: int


class Deleted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Stands where the offsets [first, behind) of a topic were deleted before they were read."""

    first: int
    behind: int


class SilenceMark(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Stands behind all that was said up to a time: silence at that time can be judged."""

    as_of: datetime


Queued = InRecord | Reached | Deleted | SilenceMark
"""What waits in an owner, in the order of a topic."""


class OutRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Goes to the owner's own partition of `topic`."""

    topic: str
    key: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    dispatch: tuple[RunId, int] | None = None
    """(run, token) of a dispatch: its offset is wanted back."""


class Forwarding(msgspec.Struct, frozen=True, kw_only=True):
    """A foreign record on its way to its home partition of the same topic."""

    topic: str
    partition: int
    key: str
    value: bytes
    found_at: str
    """`<partition>@<offset>` where it was found: the mark."""


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """All that follows from a batch of inputs: to be written in one Kafka transaction, or not at all."""

    records: tuple[OutRecord, ...]
    applied: dict[str, int]
    """By input topic: what may be acknowledged once this is committed."""
    forwardings: tuple[Forwarding, ...] = ()
    """Not part of it: their home partitions have acknowledged them before it begins (docs/decisions/0009)."""
