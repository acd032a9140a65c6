"""Cluster time: the boot clock plus its offset to the brokers' append time (protocol T1, decision 18)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

import msgspec

from schemas.times import EPOCH

AGREE_SECONDS = 2.0
"""Clocks agree if they differ by at most this. NTP keeps clocks far closer; schedules tolerate this."""
CONFIRM_SECONDS = 10.0
"""A majority must agree on a new offset for this time. NTP corrects a machine that boots or wakes up with a wrong clock
within seconds; ten seconds without ticks are a sixth of the default `misfire_grace`."""
ENOUGH_BROKERS = 3
"""Fewer brokers cannot outvote a wrong clock among them; then the host's wall clock is one more witness."""
MOST_OUTVOTED = 8
"""How many wrong clocks are remembered. A forgotten one raises a new doubt, which the next round settles."""
APPEND_TIME_RESOLUTION_SECONDS = 0.001


class Span(NamedTuple):
    """How far a clock is ahead of the boot clock, in seconds: between `low` and `high`."""

    low: float
    high: float

    def agrees(self, other: Span) -> bool:
        return self.low <= other.high + AGREE_SECONDS and self.high >= other.low - AGREE_SECONDS


def span_of(*, sent: float, acknowledged: float, appended_ms: int) -> Span:
    """`sent` and `acknowledged` are seconds of CLOCK_BOOTTIME; the record was appended in between."""
    appended = appended_ms / 1000
    return Span(appended - acknowledged, appended + APPEND_TIME_RESOLUTION_SECONDS - sent)


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """The answers of the brokers that one clock round asked for their time."""

    at: float
    """Seconds of CLOCK_BOOTTIME."""
    asked: int
    """How many brokers were asked."""
    answers: dict[int, Span]
    """By broker number; a broker that did not answer in time is missing."""
    host: float
    """How far the wall clock of this host is ahead of its boot clock, in seconds."""


class ClockState(Enum):
    """The values are the names of log lines."""

    STEADY = "clock_steady"
    UNKNOWN = "clock_unknown"
    """No majority of the clocks has agreed since the process started."""
    JUMPED = "clock_jumped"
    """A broker contradicts the believed offset, and no majority has agreed for long enough."""
    AHEAD = "clock_ahead"
    """A wrong clock was believed and is corrected. Cluster time stops until the real time reaches it."""


class ClusterClock:
    """Follows the majority of the clocks: the brokers', and also the host's if there are fewer than three brokers.

    `now` uses the lowest offset that the observations allow, so it is never ahead of the believed brokers' clocks.
    Not thread-safe: callers in several threads need a lock.
    """

    __slots__ = ("_candidate", "_doubt", "_is_doubted", "_latest", "_outvoted", "_round", "_span")

    def __init__(self) -> None:
        self._span: Span | None = None
        self._is_doubted = False
        self._doubt: Span | None = None
        """The acknowledgement that raised the doubt."""
        self._outvoted: list[Span] = []
        """Contradicting acknowledgements that the next round did not confirm: from brokers that no round asks."""
        self._candidate: tuple[Span, float] | None = None
        """The contradicting offset of a majority, and since when."""
        self._round: Round | None = None
        self._latest = 0.0

    def now(self, boot: float) -> datetime:
        """Cluster time at `boot` seconds of CLOCK_BOOTTIME. Check `state` before you base a decision on it."""
        self._latest = max(self._latest, boot + (self._span.low if self._span else 0.0))
        return EPOCH + timedelta(seconds=self._latest)

    def state(self, boot: float) -> ClockState:
        if self._span is None:
            return ClockState.UNKNOWN
        if self._is_doubted:
            return ClockState.JUMPED
        return ClockState.AHEAD if self._latest > boot + self._span.low + AGREE_SECONDS else ClockState.STEADY

    def differences(self) -> dict[str, float]:
        """How far each clock was ahead of the believed one, or of the host's, in the last round; in seconds."""
        if self._round is None:
            return {}
        base = self._span.low if self._span else self._round.host
        said = {f"broker {number}": span.low for number, span in self._round.answers.items()}
        return {name: round(low - base, 3) for name, low in {**said, "this host": self._round.host}.items()}

    def wrong_brokers(self) -> frozenset[int]:
        """The brokers that contradicted the believed offset in the last round."""
        known, span = self._round, self._span
        if known is None or span is None:
            return frozenset()
        return frozenset(number for number, answer in known.answers.items() if not answer.agrees(span))

    def observe(self, span: Span) -> None:
        """Takes the span of any broker's acknowledgement. If it contradicts, the state is JUMPED until a round."""
        if self._span is None:
            return
        if span.agrees(self._span):
            self._narrow(span)
        elif not any(span.agrees(wrong) for wrong in self._wrong()):
            self._is_doubted, self._doubt = True, span

    def hear(self, asked: Round) -> None:
        """Takes a round, which decides the believed offset."""
        self._round = asked
        supported = _supported(asked)
        believed = self._span
        agreeing = [span for span in supported if believed is None or span.agrees(believed)]
        if agreeing:
            self._believe(agreeing[0])
        elif supported:
            self._confirm(supported[0], asked.at)
        else:
            self._candidate = None
            if asked.answers and believed:
                self._is_doubted = any(not span.agrees(believed) for span in asked.answers.values())

    def _wrong(self) -> list[Span]:
        answers = self._round.answers if self._round else {}
        return [*self._outvoted, *(answers[number] for number in self.wrong_brokers())]

    def _confirm(self, span: Span, at: float) -> None:
        self._is_doubted = True
        if self._candidate is None or not span.agrees(self._candidate[0]):
            self._candidate = (span, at)
        elif at - self._candidate[1] >= CONFIRM_SECONDS:
            self._span, self._doubt, self._outvoted = None, None, []
            self._believe(span)

    def _believe(self, span: Span) -> None:
        if self._is_doubted and self._doubt and not self._doubt.agrees(span):
            self._outvoted = [*self._outvoted, self._doubt][-MOST_OUTVOTED:]
        self._candidate, self._is_doubted, self._doubt = None, False, None
        self._narrow(span)

    def _narrow(self, span: Span) -> None:
        known = self._span or span
        low, high = max(span.low, known.low), min(span.high, known.high)
        # The two clocks drift: if the old span excludes the new one, the new one is right.
        self._span = Span(low, high) if low <= high else span


def _supported(asked: Round) -> list[Span]:
    """The answers that more than half of the witnesses agree with. A broker without an answer agrees with none."""
    host = [Span(asked.host, asked.host)] if asked.asked < ENOUGH_BROKERS else []
    witnesses = [*asked.answers.values(), *host]
    needed = (asked.asked + len(host)) // 2 + 1
    return [span for span in asked.answers.values() if sum(map(span.agrees, witnesses)) >= needed]
