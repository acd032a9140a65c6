"""Cluster now: the boot clock plus its offset to the brokers' append time, never back (protocol T1)."""

from __future__ import annotations

from datetime import datetime, timedelta

from schemas.times import EPOCH

JUMP_SECONDS = 2.0
"""An offset that moves by more is not believed until it is confirmed."""
CONFIRMATIONS = 3
"""So many observations in a row must agree on the new offset."""
APPEND_TIME_RESOLUTION_SECONDS = 0.001


class ClusterClock:
    """Learns the offset from acknowledged records: each was appended between its send and its acknowledgement.

    `now` uses the lowest offset that the observations allow, so it is never ahead of the broker's clock.
    Not thread-safe: the caller's lock, if there is one, covers it.
    """

    __slots__ = ("_candidate", "_confirmed", "_high", "_latest", "_low", "_votes")

    def __init__(self) -> None:
        self._low = self._high = 0.0
        self._confirmed = False
        self._candidate: tuple[float, float] | None = None
        self._votes = 0
        self._latest = 0.0

    @property
    def is_steady(self) -> bool:
        """False before the first observation, and while a jump of the offset waits for its confirmation."""
        return self._confirmed and self._candidate is None

    def observe(self, *, sent: float, acknowledged: float, appended_ms: int) -> None:
        """`sent` and `acknowledged` are seconds of CLOCK_BOOTTIME; `appended_ms` is the record's LogAppendTime."""
        appended = appended_ms / 1000
        low, high = appended - acknowledged, appended + APPEND_TIME_RESOLUTION_SECONDS - sent
        if not self._confirmed:
            self._adopt(low, high)
        elif low <= self._high + JUMP_SECONDS and high >= self._low - JUMP_SECONDS:
            self._narrow(low, high)
        else:
            self._vote(low, high)

    def now(self, boot: float) -> datetime:
        """Cluster now at `boot` seconds of CLOCK_BOOTTIME. Ask `is_steady` before anything is decided by it."""
        self._latest = max(self._latest, boot + self._low)
        return EPOCH + timedelta(seconds=self._latest)

    def _adopt(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self._confirmed, self._candidate, self._votes = True, None, 0

    def _narrow(self, low: float, high: float) -> None:
        low_in, high_in = max(low, self._low), min(high, self._high)
        # The two clocks drift against each other: where the old knowledge excludes the new, the new is right.
        self._adopt(*((low_in, high_in) if low_in <= high_in else (low, high)))

    def _vote(self, low: float, high: float) -> None:
        candidate = self._candidate
        if candidate and low <= candidate[1] + JUMP_SECONDS and high >= candidate[0] - JUMP_SECONDS:
            self._candidate, self._votes = (low, high), self._votes + 1
        else:
            self._candidate, self._votes = (low, high), 1
        if self._votes >= CONFIRMATIONS:
            self._adopt(low, high)
