"""Cluster now: the boot clock plus its offset to the brokers' append time, never back (protocol T1, decision 0018)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

import msgspec

from schemas.times import EPOCH

AGREE_SECONDS = 2.0
"""Clocks that are no further apart agree. It is far above what NTP leaves, and below what a schedule would notice."""
CONFIRM_SECONDS = 10.0
"""A majority must hold a new offset for so long. NTP puts a machine right within seconds after it boots or wakes up
with a wrong clock; ten seconds without ticks are a sixth of the default `misfire_grace`."""
ENOUGH_BROKERS = 3
"""Fewer cannot outvote one wrong clock among them: then the wall clock of the host is one more witness."""
MOST_OUTVOTED = 8
"""Wrong clocks that are remembered; beyond, the oldest raises a new doubt, which the next round settles."""
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
    """What the brokers answer that are asked for their time at one moment."""

    at: float
    """Seconds of CLOCK_BOOTTIME."""
    asked: int
    """How many brokers were asked."""
    answers: dict[int, Span]
    """By broker; without those that did not answer in time."""
    host: float
    """How far the wall clock of this host is ahead of its boot clock, in seconds."""


class ClockState(Enum):
    """The values are the names of log lines."""

    STEADY = "clock_steady"
    UNKNOWN = "clock_unknown"
    """No majority of clocks has agreed since the process started."""
    JUMPED = "clock_jumped"
    """A broker contradicts what is believed, and no majority has settled it for long enough."""
    AHEAD = "clock_ahead"
    """A clock that was wrong had been believed. It was put right, and time stands still until it is reached again."""


class ClusterClock:
    """Believes what a majority of clocks says: the brokers, and the host where there are fewer than three brokers.

    `now` uses the lowest offset that the observations allow, so it is never ahead of the believed brokers' clocks.
    Not thread-safe: the caller's lock, if there is one, covers it.
    """

    __slots__ = ("_candidate", "_doubt", "_is_doubted", "_latest", "_outvoted", "_round", "_span")

    def __init__(self) -> None:
        self._span: Span | None = None
        self._is_doubted = False
        self._doubt: Span | None = None
        """The acknowledgement that raised the doubt."""
        self._outvoted: list[Span] = []
        """Such acknowledgements that a round did not confirm: of brokers that no round asks."""
        self._candidate: tuple[Span, float] | None = None
        """What a majority says instead, and since when."""
        self._round: Round | None = None
        self._latest = 0.0

    def now(self, boot: float) -> datetime:
        """Cluster now at `boot` seconds of CLOCK_BOOTTIME. Ask for `state` before anything is decided by it."""
        self._latest = max(self._latest, boot + (self._span.low if self._span else 0.0))
        return EPOCH + timedelta(seconds=self._latest)

    def state(self, boot: float) -> ClockState:
        if self._span is None:
            return ClockState.UNKNOWN
        if self._is_doubted:
            return ClockState.JUMPED
        return ClockState.AHEAD if self._latest > boot + self._span.low + AGREE_SECONDS else ClockState.STEADY

    def differences(self) -> dict[str, float]:
        """By clock: how many seconds it was ahead of what is believed, or of the host's, in the last round."""
        if self._round is None:
            return {}
        base = self._span.low if self._span else self._round.host
        said = {f"broker {number}": span.low for number, span in self._round.answers.items()}
        return {name: round(low - base, 3) for name, low in {**said, "this host": self._round.host}.items()}

    def wrong_brokers(self) -> frozenset[int]:
        """Those that contradicted in the last round what is believed."""
        known, span = self._round, self._span
        if known is None or span is None:
            return frozenset()
        return frozenset(number for number, answer in known.answers.items() if not answer.agrees(span))

    def observe(self, span: Span) -> None:
        """Of an acknowledgement, of whatever broker. One that contradicts makes the clock ask for a round."""
        if self._span is None:
            return
        if span.agrees(self._span):
            self._narrow(span)
        elif not any(span.agrees(wrong) for wrong in self._wrong()):
            self._is_doubted, self._doubt = True, span

    def hear(self, asked: Round) -> None:
        """A round decides what is believed."""
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
        # The two clocks drift against each other: where the old knowledge excludes the new, the new is right.
        self._span = Span(low, high) if low <= high else span


def _supported(asked: Round) -> list[Span]:
    """The answers that more than half of the witnesses agree with. A broker that does not answer agrees with none."""
    host = [Span(asked.host, asked.host)] if asked.asked < ENOUGH_BROKERS else []
    witnesses = [*asked.answers.values(), *host]
    needed = (asked.asked + len(host)) // 2 + 1
    return [span for span in asked.answers.values() if sum(map(span.agrees, witnesses)) >= needed]
