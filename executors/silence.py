"""How long the supervisor has owed an answer, in the executor's own time: the freeze of both is no silence of one."""

from __future__ import annotations

from executors.heart import NEVER


class Silence:
    def __init__(self) -> None:
        self._asked = self._answered = NEVER
        self.seconds = 0.0
        """Since the oldest renewal without an answer was sent, or the one before it was answered."""

    def ask(self, sent: float) -> None:
        self._asked = sent

    def answer(self, sent: float) -> None:
        self._answered, self.seconds = sent, 0.0

    def pass_on(self, seconds: float) -> None:
        """The executor has lived for so long."""
        if self._asked > self._answered:
            self.seconds += seconds
