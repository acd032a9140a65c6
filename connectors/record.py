"""One record as the sink reads it from a topic."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import msgspec
from confluent_kafka import Message

from schemas.times import from_epoch_ms
from schemas.unreadable import Unreadable, headers_of


class Record(msgspec.Struct, frozen=True, kw_only=True):
    topic: str
    partition: int
    offset: int
    at: datetime
    """When the broker appended it: the same at every replay."""
    key: bytes | None
    value: bytes | None
    """None: a tombstone."""
    headers: dict[str, bytes] = {}
    unreadable: Unreadable | None = None
    """It stands for records that the client cannot read; `offset` is that of the last of them."""


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


def standing_for(topic: str, partition: int, unreadable: Unreadable) -> Record:
    return Record(
        topic=topic,
        partition=partition,
        offset=unreadable.last,
        at=datetime.now(UTC),  # noqa: TID251 - no client says when it was appended
        key=None,
        value=None,
        unreadable=unreadable,
    )


def _number(value: int | None) -> int:
    assert value is not None, "a record that was read has a place"
    return value


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
