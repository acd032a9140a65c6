"""The queue of one input topic in an owner, and its size in bytes."""

from __future__ import annotations

from collections import deque

from streams.owner.records import InRecord, Queued


class Backlog:
    """First in, first out."""

    __slots__ = ("_items", "bytes")

    def __init__(self) -> None:
        self._items: deque[Queued] = deque()
        self.bytes = 0
        """The total size of its records' values."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def head(self) -> Queued:
        return self._items[0]

    def put(self, item: Queued) -> None:
        self._items.append(item)
        self.bytes += _size(item)

    def take(self) -> Queued:
        item = self._items.popleft()
        self.bytes -= _size(item)
        return item

    def put_back(self, item: Queued) -> None:
        """Make it the head again."""
        self._items.appendleft(item)
        self.bytes += _size(item)

    def drop_marks(self) -> None:
        self._items = deque(each for each in self._items if isinstance(each, InRecord))


def _size(item: Queued) -> int:
    return len(item.value or b"") if isinstance(item, InRecord) else 0
