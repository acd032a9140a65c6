"""A batch of which a client says nothing: no record, no error. It is told from brokers that send nothing.

While the batch is silent, what stands behind it comes, or the end of the partition does; and then it is silent again.
A broker with a cold disk, a fetch quota or a leader that moved is silent about both: `BatchUnknownError`.
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
"""From when on a reader asks why nothing comes of a partition that holds more."""
_REASON = "the client delivers neither a record nor an error of it, and delivers what stands behind it"


class Message(Protocol):
    """What a client's message says of itself."""

    def error(self) -> Any: ...

    def topic(self) -> str | None: ...

    def partition(self) -> int | None: ...

    def offset(self) -> int | None: ...


class Silence:
    """What a reader with `enable.partition.eof` knows of its partitions: up to where it has read, and since when."""

    __slots__ = ("_reached",)

    def __init__(self, offsets: Mapping[Place, int], now: float) -> None:
        self._reached = {place: (offset, now) for place, offset in offsets.items()}

    def note(self, messages: Iterable[Message], now: float) -> None:
        for each in messages:
            if each.error() is None or is_end_of_file(each):
                self.reach((each.topic() or "", each.partition() or 0), (each.offset() or 0) + (not each.error()), now)

    def reach(self, place: Place, offset: int, now: float) -> None:
        self._reached[place] = offset, now

    def suspects(self, end_of_place: Callable[[Place], int], now: float) -> list[tuple[Place, int]]:
        """Partitions that hold more than has come for a while, with the next offset; each again after a while."""
        quiet = [(place, offset) for place, (offset, since) in self._reached.items() if now - since > SILENCE_SECONDS]
        for place, offset in quiet:
            self.reach(place, offset, now)
        return [(place, offset) for place, offset in quiet if end_of_place(place) > offset]


def fetched_end(consumer: Any, place: Any) -> int:
    """The end of a partition as the last fetch has brought it; -1: there was none."""
    found = consumer.get_watermark_offsets(place, cached=True)
    return int(found[1]) if found else -1


def silent_extent(reader: Reader, first: int, at: Callable[[int], Any]) -> Unreadable | None:
    """The silent batch at `first`; None: it is none. `at` makes a place of an offset. Raises `BatchUnknownError`."""

    def is_silent(offset: int) -> bool:
        return not _answers(reader, at(offset))

    if not is_silent(first):
        return None
    last = last_of_batch(is_silent, first, end_of(reader, at(first)))
    if is_silent(last + 1):
        raise BatchUnknownError(f"nothing came from offset {first}, and nothing from {last + 1}")
    return Unreadable(first=first, last=last, reason=_REASON) if is_silent(first) else None


def _answers(reader: Reader, place: Any) -> bool:
    """Whether anything comes from there: a record, the end, or the error of what cannot be read."""
    reader.assign([place])
    found = reader.poll(ANSWER_SECONDS)
    if found is None:
        return False
    if found.error() is not None and not is_end_of_file(found) and not is_unreadable(found):
        raise BatchUnknownError(f"offset {place.offset} could not be read: {found.error().str()}")
    return True
