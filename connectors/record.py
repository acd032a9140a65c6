"""A record that the sink reads from a topic."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeAlias, cast

import msgspec
from confluent_kafka import Message

from schemas.times import from_epoch_ms
from schemas.unreadable import Unreadable, headers_of

PartitionId: TypeAlias = tuple[str, int]
"""(topic, partition)"""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    topic: str
    partition: int
    offset: int
    at: datetime
    """When the broker appended the record; a replay gives the same time."""
    key: bytes | None
    value: bytes | None
    """None: a tombstone."""
    headers: dict[str, bytes] = {}
    unreadable: Unreadable | None = None
    """Set if the record stands for a batch that the client cannot read; `offset` is then the batch's last offset."""


def from_message(message: Message) -> Record:
    _, appended_ms = message.timestamp()
    pairs = cast("list[tuple[str, object]]", headers_of(message))
    return Record(
        topic=message.topic() or "",
        partition=_number(message.partition()),
        offset=_number(message.offset()),
        at=from_epoch_ms(appended_ms),
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers={name: value for name, value in pairs if isinstance(value, bytes)},
    )


def unreadable_record(topic: str, partition: int, unreadable: Unreadable) -> Record:
    return Record(
        topic=topic,
        partition=partition,
        offset=unreadable.last,
        at=datetime.now(UTC),  # noqa: TID251 - the time at which it was appended is unknown
        key=None,
        value=None,
        unreadable=unreadable,
    )


def _number(value: int | None) -> int:
    assert value is not None, "a record that was read has a partition and an offset"
    return value


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
