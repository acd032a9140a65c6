"""Limits how often a loop repeats: records gather under load, and a few turns after a quiet time follow at once."""

from __future__ import annotations


class RateLimiter:
    """On average one turn per period; unused time pays for a burst of a few turns."""

    __slots__ = ("_burst", "_paid_until_seconds", "next_turn_seconds")

    def __init__(self, burst: int) -> None:
        """`burst`: this many turns follow each other without a pause after a quiet time."""
        self._burst, self._paid_until_seconds = burst, 0.0
        self.next_turn_seconds = 0.0
        """In seconds of the clock that `note_turn` gets."""

    def note_turn(self, started_seconds: float, period_seconds: float) -> None:
        """A turn that started then is over; `period_seconds` includes the pause after it."""
        self._paid_until_seconds = max(self._paid_until_seconds, started_seconds) + period_seconds
        self.next_turn_seconds = self._paid_until_seconds - (self._burst - 1) * period_seconds
