"""A batch of records that a client cannot read: its codec is broken or unknown. It is passed by (protocol I9).

librdkafka delivers the error, fetches the same batch again, and so on for ever. It does not say where the batch ends.
Fetches at other offsets find that out: in the batch they fail with the same first offset. A fetch that brings nothing
proves nothing, because a broker may be slow: `BatchUnknownError`, and the reader asks again later.
"""

from __future__ import annotations

import gc
import operator
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from schemas.ends import is_end_of_file
from schemas.errors import TidemillError

_BAD_COMPRESSION, _BAD_MESSAGE, _NOT_IMPLEMENTED, _CORRUPT = -198, -199, -170, 2
_CODES = frozenset({_BAD_COMPRESSION, _BAD_MESSAGE, _NOT_IMPLEMENTED, _CORRUPT})
"""RD_KAFKA_RESP_ERR_… of librdkafka: it read the batch, and could make nothing of it."""
ANSWER_SECONDS = 5.0
_HEADERS = operator.methodcaller("headers")


class BatchUnknownError(TidemillError):
    """The brokers do not say what stands at an offset. The reader meets the batch again and asks again."""


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
    """A consumer without a group that reads one partition, with `enable.partition.eof`."""

    def assign(self, partitions: list[Any], /) -> Any: ...

    def poll(self, timeout: float, /) -> Any: ...

    def get_watermark_offsets(self, partition: Any, /, *, timeout: float) -> Any: ...


def is_unreadable(message: Delivered) -> bool:
    error = message.error()
    return error is not None and error.code() in _CODES


def extent(reader: Reader, message: Delivered, at: Callable[[int], Any]) -> Unreadable:
    """The whole batch that `message` is the error of; `at` makes a place of an offset. Raises `BatchUnknownError`."""
    first, reason = message.offset() or 0, message.error().str()
    last = last_of_batch(lambda offset: _is_in_batch(reader, first, at(offset)), first, end_of(reader, at(first)))
    return Unreadable(first=first, last=last, reason=reason)


def _is_in_batch(reader: Reader, first: int, place: Any) -> bool:
    """Only the same error is evidence for it, and only a record or the end of the partition is evidence against it."""
    reader.assign([place])
    found = reader.poll(ANSWER_SECONDS)
    if found is None:
        raise BatchUnknownError(f"nothing came from offset {place.offset} within {ANSWER_SECONDS} s")
    if is_unreadable(found):
        return bool(found.offset() == first)
    if found.error() is not None and not is_end_of_file(found):
        raise BatchUnknownError(f"offset {place.offset} could not be read: {found.error().str()}")
    return False


def end_of(reader: Reader, place: Any) -> int:
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
