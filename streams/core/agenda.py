"""What is to happen in which order: a heap in which a key has one place, and no more dead entries than living ones."""

from __future__ import annotations

import heapq
from typing import Any, Generic, TypeVar

At = TypeVar("At", bound=Any)
Key = TypeVar("Key", bound=Any)

_DEAD_ALLOWED = 16
"""Dead entries beside as many as there are living ones: a short heap is not worth a compaction."""


class Agenda(Generic[At, Key]):
    """Keys by place, the lowest first. All operations take logarithmic time, on average over many.

    A heap cannot remove an entry from its middle. An entry whose key has another place, or none, is dead; a heap that
    is mostly dead is built again from the places.
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
        """In memory, dead ones included."""
        return len(self._heap)

    def place(self, key: Key) -> At | None:
        return self._places.get(key)

    def places(self) -> dict[Key, At]:
        """A copy."""
        return dict(self._places)

    def put(self, key: Key, at: At) -> None:
        """`key` has this place, and no other."""
        if self._places.get(key) != at:
            self._places[key] = at
            heapq.heappush(self._heap, (at, key))
            self._compact()

    def drop(self, key: Key) -> None:
        """Of a key without a place nothing changes."""
        if self._places.pop(key, None) is not None:
            self._compact()

    def head(self) -> tuple[At, Key] | None:
        heap = self._heap
        while heap and self._places.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def pop(self) -> tuple[At, Key]:
        """The head, which must be there."""
        head = self.head()
        assert head is not None, "an empty agenda has no head"
        heapq.heappop(self._heap)
        del self._places[head[1]]
        return head

    def pop_due(self, until: At) -> Key | None:
        """The key of the head, if its place is not beyond `until`."""
        head = self.head()
        return self.pop()[1] if head is not None and head[0] <= until else None

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._places) + _DEAD_ALLOWED:
            self._heap = [(at, key) for key, at in self._places.items()]
            heapq.heapify(self._heap)
