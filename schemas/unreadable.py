"""Finds the end of a batch of records that a client cannot read, so that a reader can skip it (protocol I9).

The codec of such a batch is broken or unknown. librdkafka delivers the error and fetches the same batch again, forever,
and does not report where the batch ends. Fetches at other offsets show it: within the batch they fail with the same
first offset. An empty fetch proves nothing, because a broker may be slow: `BatchUnknownError`; the reader tries later.
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
"""RD_KAFKA_RESP_ERR_… of librdkafka: it fetched the batch and could not decode it."""
ANSWER_SECONDS = 5.0
_HEADERS = operator.methodcaller("headers")


class BatchUnknownError(TidemillError):
    """The brokers did not show which records are at an offset. The reader tries again when it reads the batch again."""


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    first: int
    last: int
    reason: str
    """The client's error message."""

    def said_of(self, topic: str) -> str:
        records = f"records {self.first} to {self.last}" if self.last > self.first else f"record {self.first}"
        return f"{records} of topic {topic} cannot be read, and had no effect: {self.reason}"


class Delivered(Protocol):
    """The part of a client's message that this file uses."""

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
    """The batch that causes `message`. `at` makes a TopicPartition of an offset. Raises `BatchUnknownError`."""
    first, reason = message.offset() or 0, message.error().str()
    last = last_of_batch(lambda offset: _is_in_batch(reader, first, at(offset)), first, end_of(reader, at(first)))
    return Unreadable(first=first, last=last, reason=reason)


def _is_in_batch(reader: Reader, first: int, place: Any) -> bool:
    """True only for the same error; False only for a record, another batch's error, or the end of the partition."""
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
    """The last offset of the batch that starts at `first`, before `end`. It probes few offsets: each is a fetch."""
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
    """The message's headers, without those whose names are not valid text.

    For such a header confluent-kafka 2.16 returns a broken pair: reading it ends the process. The client also leaves an
    exception set, which the next call from C raises.
    """
    try:
        pairs = _HEADERS(message)
    except SystemError:
        pairs = _HEADERS(message)
    return [pair for pair in pairs or () if len(gc.get_referents(pair)) == len(pair)]
