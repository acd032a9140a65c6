"""Rest between turns that repeat: under load what belongs together gathers, after a quiet time nothing waits."""

from __future__ import annotations


class Rest:
    """In the long run a turn takes its whole period. What was not used of that lets a few turns follow at once."""

    __slots__ = ("_at_once", "_paid_until", "ends_at")

    def __init__(self, at_once: int) -> None:
        """After a quiet time so many turns have no rest between them."""
        self._at_once, self._paid_until = at_once, 0.0
        self.ends_at = 0.0
        """The next turn may begin then: of whatever clock `took` is told."""

    def took(self, began: float, period: float) -> None:
        """A turn that began then is over; `period` is what it took, and its rest."""
        self._paid_until = max(self._paid_until, began) + period
        self.ends_at = self._paid_until - (self._at_once - 1) * period
