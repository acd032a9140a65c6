"""Input topics that a session reads by itself, to an end that it asked for: after a takeover, an absence, a rebalance
(protocol O10).

While a topic is pulled, deliveries of it are dropped, because the pull reads them. So a gap of any length takes no more
memory than one chunk, and no record is applied before those in front of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.owner.session_calls import Chunk


@dataclass(slots=True, kw_only=True)
class Pull:
    through: int
    """Everything up to this offset has been read."""
    until: int | None = None
    """The end to be reached; None: the end as it is at the next read."""
    dropped: int = -1
    """The highest offset that was delivered meanwhile, and dropped."""


class Pulls:
    """Pure: which topics are being pulled, and how far each of them has come."""

    def __init__(self) -> None:
        self._active: dict[str, Pull] = {}

    def begin(self, topic: str, applied: int) -> None:
        """To the topic's end as it is at the next read, also if an earlier end is on its way to be reached."""
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

    def of(self, topic: str) -> Pull:
        return self._active[topic]

    def drop(self, topic: str, offset: int) -> bool:
        """Whether a delivery is dropped, because the pull of its topic comes past it."""
        pull = self._active.get(topic)
        if pull is None:
            return False
        pull.dropped = max(pull.dropped, offset)
        return True

    def postpone(self, topic: str) -> None:
        """It could not be read: the others come first from now on."""
        self._active[topic] = self._active.pop(topic)

    def read(self, topic: str, chunk: Chunk) -> bool:
        """Whether the end has been reached; then deliveries are taken again, unless one lies beyond it."""
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
