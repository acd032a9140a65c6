"""Remembers which jobs and DAGs were healed in vain: a definition that the streams refuse is appended less often."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from connectors.differences import Difference

FIRST_REST, LONGEST_REST = 120.0, 3600.0
"""Seconds: it is appended again after 2, 4, 8 … minutes, and at most once an hour."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    held: int | None
    """What the streams held. If they hold another version later, they have applied one: this is a new loss."""
    rest: float
    again_at: float


class Healings:
    """Of one sink; times are monotonic seconds."""

    def __init__(self) -> None:
        self._tried: dict[str, Tried] = {}

    def due(self, found: Iterable[Difference], now: float) -> list[Difference]:
        return [each for each in found if (tried := self._same(each)) is None or tried.again_at <= now]

    def note(self, healed: Iterable[Difference], now: float) -> None:
        for each in healed:
            tried = self._same(each)
            rest = FIRST_REST if tried is None else min(2 * tried.rest, LONGEST_REST)
            self._tried[each.owner] = Tried(held=each.held, rest=rest, again_at=now + rest)

    def clear(self) -> None:
        """Everything has arrived."""
        self._tried.clear()

    def _same(self, difference: Difference) -> Tried | None:
        tried = self._tried.get(difference.owner)
        return tried if tried is not None and tried.held == difference.held else None
