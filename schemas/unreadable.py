"""A batch of records that a client cannot read: its codec is broken or unknown, its format is none. It is passed by.

librdkafka delivers the error, fetches the same batch again, and so on for ever; of some batches it delivers nothing. It
does not say where the batch ends. Fetches at other offsets find that out: in the batch, they fail or are silent too.
"""

from __future__ import annotations

import gc
import operator
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from schemas.errors import TidemillError

_BAD_COMPRESSION, _BAD_MESSAGE, _NOT_IMPLEMENTED, _CORRUPT = -198, -199, -170, 2
_CODES = frozenset({_BAD_COMPRESSION, _BAD_MESSAGE, _NOT_IMPLEMENTED, _CORRUPT})
"""RD_KAFKA_RESP_ERR_… of librdkafka: it read the batch, and could make nothing of it."""
ANSWER_SECONDS = 5.0
SILENCE_SECONDS = 2.0
"""A broker that tells the end of a partition, and of what lies before it nothing for so long, has sent it in vain."""
_HEADERS = operator.methodcaller("headers")


class BatchUnknownError(TidemillError):
    """Nobody answered where a batch ends: it is met again."""


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    first: int
    last: int
    reason: str
    """As the client says it."""

    def said_of(self, topic: str) -> str:
        records = f"records {self.first} to {self.last}" if self.last > self.first else f"record {self.first}"
        return f"{records} of topic {topic} cannot be read, and had no effect: {self.reason}"


class Delivered(Protocol):
    """What a client's message says of itself."""

    def error(self) -> Any: ...

    def offset(self) -> int | None: ...


class Reader(Protocol):
    """A consumer without a group that reads one partition."""

    def assign(self, partitions: list[Any], /) -> Any: ...

    def poll(self, timeout: float, /) -> Any: ...

    def get_watermark_offsets(self, partition: Any, /, *, timeout: float) -> Any: ...


def is_unreadable(message: Delivered) -> bool:
    error = message.error()
    return error is not None and error.code() in _CODES


def extent(reader: Reader, message: Delivered, at: Callable[[int], Any]) -> Unreadable:
    """The whole batch that `message` is the error of; `at` makes a place of an offset. Raises `BatchUnknownError`."""
    first, reason = message.offset() or 0, message.error().str()
    last = last_of_batch(lambda offset: _is_in_batch(reader, first, at(offset)), first, _end(reader, at(first)))
    return Unreadable(first=first, last=last, reason=reason)


def silent_extent(reader: Reader, first: int, at: Callable[[int], Any]) -> Unreadable:
    """The rest of a batch of which nothing came, from this offset. A broker that was slow is asked again first."""
    end = _end(reader, at(first))
    if first >= end or not _is_in_batch(reader, first, at(first)):
        raise BatchUnknownError(f"nothing came from offset {first} at first")
    last = last_of_batch(lambda offset: _is_in_batch(reader, first, at(offset)), first, end)
    return Unreadable(first=first, last=last, reason="the client finds no record in what the broker sends")


def _is_in_batch(reader: Reader, first: int, place: Any) -> bool:
    reader.assign([place])
    found = reader.poll(SILENCE_SECONDS)
    if found is None:
        return int(place.offset) < _end(reader, place)
    return is_unreadable(found) and found.offset() == first


def _end(reader: Reader, place: Any) -> int:
    offsets = reader.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
    if offsets is None:
        raise BatchUnknownError(f"no answer about the batch at offset {place.offset} within {ANSWER_SECONDS} s")
    return int(offsets[1])


def last_of_batch(is_in_batch: Callable[[int], bool], first: int, end: int) -> int:
    """The last offset of the batch that begins at `first`, before `end`. Each question is a fetch: it asks few."""
    inside, step = first, 1
    while inside + step < end and is_in_batch(inside + step):
        inside += step
        step *= 2
    outside = min(inside + step, end)
    while outside - inside > 1:
        middle = (inside + outside) // 2
        if is_in_batch(middle):
            inside = middle
        else:
            outside = middle
    return inside


def headers_of(message: Any) -> list[tuple[str, bytes | None]]:
    """Without those whose names are no text: confluent-kafka 2.16 leaves a hole in their place.

    Whoever looks into the hole ends the process. The client also leaves an exception behind; a caller in C raises it.
    """
    try:
        pairs = _HEADERS(message)
    except SystemError:
        pairs = _HEADERS(message)
    return [pair for pair in pairs or () if len(gc.get_referents(pair)) == len(pair)]
