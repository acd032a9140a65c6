"""The input topics that a session reads itself, after a takeover, an absence or a rebalance (protocol O10).

The session drops deliveries of a topic while it pulls the topic, because the pull reads the same records. So a gap of
any length takes the memory of one chunk, and records are applied in the order of their offsets.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.owner.session_calls import Chunk


@dataclass(slots=True, kw_only=True)
class Pull:
    through: int
    """Every record up to this offset has been read."""
    until: int | None = None
    """The pull ends before this offset; None: at the end as it is at the next read."""
    dropped: int = -1
    """The highest offset of a dropped delivery."""


class Pulls:
    """Pure: the topics that are being pulled, and the progress of each."""

    def __init__(self) -> None:
        self._active: dict[str, Pull] = {}

    def start(self, topic: str, applied: int) -> None:
        """Pull to the topic's end as it is at the next read. This also extends a pull that has started."""
        pull = self._active.get(topic)
        if pull is None:
            self._active[topic] = Pull(through=applied)
        else:
            pull.until = None

    def __contains__(self, topic: str) -> bool:
        return topic in self._active

    def __bool__(self) -> bool:
        return bool(self._active)

    def topics(self) -> list[str]:
        return list(self._active)

    def get(self, topic: str) -> Pull:
        return self._active[topic]

    def drop(self, topic: str, offset: int) -> bool:
        """Whether to drop a delivery because the pull of its topic reads it too."""
        pull = self._active.get(topic)
        if pull is None:
            return False
        pull.dropped = max(pull.dropped, offset)
        return True

    def postpone(self, topic: str) -> None:
        """After a failed read: read the other topics first."""
        self._active[topic] = self._active.pop(topic)

    def note_read(self, topic: str, chunk: Chunk) -> bool:
        """Whether the end has been reached. Then the pull is over, unless a delivery after this end was dropped."""
        pull = self._active[topic]
        pull.through = max(pull.through, chunk.through)
        if pull.through + 1 < chunk.end:
            pull.until = chunk.end
            return False
        if pull.dropped > pull.through:
            pull.until = None
        else:
            del self._active[topic]
        return True
