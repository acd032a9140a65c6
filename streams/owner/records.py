"""Records as an owner reads and writes them, independent of any client; topic names have no prefix."""

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
    """Another owner found it in its partition and forwarded it."""
    unreadable: Unreadable | None = None
    """The record is a placeholder for records that no client can read; `offset` is the last of them."""


class Reached(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Follows the records of a topic that was read to its end: there are no others up to `offset`."""

    offset: int


class Deleted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Replaces the offsets [first, end) of a topic, which were deleted before they were read."""

    first: int
    end: int


class SilenceMark(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Follows all reports up to `silent_at`: silence at that time can be judged."""

    silent_at: datetime


Queued = InRecord | Reached | Deleted | SilenceMark
"""The items that wait in an owner, in the order of a topic."""


class OutRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Goes to the owner's own partition of `topic`."""

    topic: str
    key: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    dispatch: tuple[RunId, int] | None = None
    """(run, token) of a dispatch: the commit returns its offset."""


class Forwarding(msgspec.Struct, frozen=True, kw_only=True):
    """A record to forward to its home partition of the same topic."""

    topic: str
    partition: int
    key: str
    value: bytes
    found_at: str
    """`<partition>@<offset>` where it was found; the value of the header that a forwarded record carries."""


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """All effects of a batch of inputs, for one Kafka transaction."""

    records: tuple[OutRecord, ...]
    applied: dict[str, int]
    """By input topic: the offset that may be acknowledged after the commit."""
    forwardings: tuple[Forwarding, ...] = ()
    """Not part of the transaction: their home partitions acknowledge them before it starts (docs/decisions/0009)."""
    first_captured: InRecord | None = None
    """The first record of `cdc` of which it has an effect, if any. It tells how long its row has waited."""
