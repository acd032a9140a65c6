"""A priority queue of unique keys: a heap with at most about as many dead entries as live ones."""

from __future__ import annotations

import heapq
from typing import Any, Generic, TypeVar

At = TypeVar("At", bound=Any)
Key = TypeVar("Key", bound=Any)

_DEAD_ALLOWED = 16
"""This many more dead than live entries are allowed, because compacting a short heap is not worth it."""


class Agenda(Generic[At, Key]):
    """Keys by place, the lowest first. All operations take amortized logarithmic time.

    A heap cannot remove an entry from its middle. An entry is dead if its key has another place or none. A heap with
    mostly dead entries is rebuilt.
    """

    __slots__ = ("_heap", "_places")

    def __init__(self) -> None:
        self._heap: list[tuple[At, Key]] = []
        self._places: dict[Key, At] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: Key) -> bool:
        return key in self._places

    @property
    def entries(self) -> int:
        """The length of the heap, including dead entries."""
        return len(self._heap)

    def place(self, key: Key) -> At | None:
        return self._places.get(key)

    def places(self) -> dict[Key, At]:
        """A copy."""
        return dict(self._places)

    def put(self, key: Key, at: At) -> None:
        """Give `key` this place instead of any other."""
        if self._places.get(key) != at:
            self._places[key] = at
            heapq.heappush(self._heap, (at, key))
            self._compact()

    def drop(self, key: Key) -> None:
        """Remove the key, if it is there."""
        if self._places.pop(key, None) is not None:
            self._compact()

    def head(self) -> tuple[At, Key] | None:
        heap = self._heap
        while heap and self._places.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def pop(self) -> tuple[At, Key]:
        """Remove and return the head, which must exist."""
        head = self.head()
        assert head is not None, "an empty agenda has no head"
        heapq.heappop(self._heap)
        del self._places[head[1]]
        return head

    def pop_due(self, until: At) -> Key | None:
        """Remove and return the first key, if its place is at most `until`."""
        head = self.head()
        return self.pop()[1] if head is not None and head[0] <= until else None

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._places) + _DEAD_ALLOWED:
            self._heap = [(at, key) for key, at in self._places.items()]
            heapq.heapify(self._heap)
