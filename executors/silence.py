"""Measures how long the process supervisor has not answered, without the time in which the executor was frozen."""

from __future__ import annotations

from executors.heartbeats import NEVER


class Silence:
    def __init__(self) -> None:
        self._asked = self._answered = NEVER
        self.seconds = 0.0
        """The time without an answer, while a renewal is unanswered."""

    def ask(self, sent: float) -> None:
        self._asked = sent

    def answer(self, sent: float) -> None:
        self._answered, self.seconds = sent, 0.0

    def elapse(self, seconds: float) -> None:
        """The executor slept for so long between two heartbeats."""
        if self._asked > self._answered:
            self.seconds += seconds
