"""Finds a silent batch: the client delivers neither a record nor an error of it.

It is silent if fetches at its offsets deliver nothing, and a fetch after it delivers a record or the end of the
partition. A broker that is slow (cold disk, fetch quota, moved leader) delivers neither: `BatchUnknownError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from schemas.ends import is_end_of_file
from schemas.unreadable import (
    ANSWER_SECONDS,
    BatchUnknownError,
    Reader,
    Unreadable,
    end_of,
    is_unreadable,
    last_of_batch,
)

Place = tuple[str, int]
"""(topic, partition)"""
SILENCE_SECONDS = 10.0
"""A reader suspects a silent batch after this time without a record, if the partition has more records."""
_REASON = "the client delivers neither a record nor an error of it, but delivers the records after it"


class Message(Protocol):
    """The part of a client's message that this file uses."""

    def error(self) -> Any: ...

    def topic(self) -> str | None: ...

    def partition(self) -> int | None: ...

    def offset(self) -> int | None: ...


class Silence:
    """How far a reader with `enable.partition.eof` has read each partition, and since when."""

    __slots__ = ("_reached",)

    def __init__(self, offsets: Mapping[Place, int], now: float) -> None:
        self._reached = {place: (offset, now) for place, offset in offsets.items()}

    def note(self, messages: Iterable[Message], now: float) -> None:
        for each in messages:
            if each.error() is None or is_end_of_file(each):
                self.reach((each.topic() or "", each.partition() or 0), (each.offset() or 0) + (not each.error()), now)

    def reach(self, place: Place, offset: int, now: float) -> None:
        self._reached[place] = offset, now

    @property
    def reached(self) -> dict[Place, int]:
        """The next offset of each partition; all records before it are read."""
        return {place: offset for place, (offset, _) in self._reached.items()}

    def suspects(self, end_of_place: Callable[[Place], int], now: float) -> list[tuple[Place, int]]:
        """The partitions with unread records that were silent for `SILENCE_SECONDS`, with their next offsets."""
        quiet = [(place, offset) for place, (offset, since) in self._reached.items() if now - since > SILENCE_SECONDS]
        for place, offset in quiet:
            self.reach(place, offset, now)
        return [(place, offset) for place, offset in quiet if end_of_place(place) > offset]


def fetched_end(consumer: Any, place: Any) -> int:
    """The end offset of a partition from the last fetch; -1: there was no fetch."""
    found = consumer.get_watermark_offsets(place, cached=True)
    return int(found[1]) if found else -1


def silent_extent(reader: Reader, first: int, at: Callable[[int], Any]) -> Unreadable | None:
    """The silent batch at `first`, or None. `at` makes a TopicPartition of an offset. Raises `BatchUnknownError`."""

    def is_silent(offset: int) -> bool:
        return not _answers(reader, at(offset))

    if not is_silent(first):
        return None
    end = end_of(reader, at(first))
    if is_silent(end):  # the end of a partition is always reported: the broker is slow, and a search would take minutes
        raise BatchUnknownError(f"nothing came from offset {first}, and nothing from the end, {end}")
    last = last_of_batch(is_silent, first, end)
    if is_silent(last + 1):
        raise BatchUnknownError(f"nothing came from offset {first}, and nothing from {last + 1}")
    return Unreadable(first=first, last=last, reason=_REASON) if is_silent(first) else None


def _answers(reader: Reader, place: Any) -> bool:
    """Whether a fetch there delivers a record, the end of the partition, or an error of an unreadable batch."""
    reader.assign([place])
    found = reader.poll(ANSWER_SECONDS)
    if found is None:
        return False
    if found.error() is not None and not is_end_of_file(found) and not is_unreadable(found):
        raise BatchUnknownError(f"offset {place.offset} could not be read: {found.error().str()}")
    return True
