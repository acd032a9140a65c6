"""A batch of which a client says nothing: no record, no error. It is told from brokers that send nothing.

While the batch is silent, what stands behind it comes, or the end of the partition does; and then it is silent again.
A broker with a cold disk, a fetch quota or a leader that moved is silent about both: `BatchUnknownError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

SILENCE_SECONDS = 10.0
"""From when on a reader asks why nothing comes of a partition that holds more."""
_REASON = "the client delivers neither a record nor an error of it, and delivers what stands behind it"


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
