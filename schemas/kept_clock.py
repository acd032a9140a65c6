"""Cluster time for the threads of one process: asks the brokers while it is uncertain, and logs why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog

from schemas.clock_round import PRODUCER_OPTIONS, Asker, ask_brokers
from schemas.cluster_clock import ClockState, ClusterClock, span_of
from schemas.settings import Connections
from schemas.topics import EXECUTORS

log = structlog.get_logger()

ROUND_SECONDS = 1.0
"""The time between two rounds, while the clock is not steady."""
IDLE_SECONDS = 5.0
"""A steady clock asks no broker, but its thread turns this often, so that the process can tell that it lives."""
AGAIN_SECONDS = 60.0
"""A problem of the clock is logged again after this time."""

_NOTES = {
    ClockState.STEADY: "a majority of the clocks agrees on the time",
    ClockState.UNKNOWN: "no majority of the clocks (the brokers'; with fewer than three brokers also this host's) "
    "agrees on the time: nothing is decided or claimed until the wrong clock is corrected (NTP)",
    ClockState.JUMPED: "a broker's clock contradicts the time of this process: no schedule is decided and nothing is "
    "claimed until a majority of the clocks has agreed for 10 s; correct the wrong clock (NTP)",
    ClockState.AHEAD: "a wrong clock was ahead and is corrected: cluster time stops until the real time reaches it; "
    "restart the stream workers and executors to continue now (docs/clocks.md)",
}
_WRONG_BROKER = "a broker's clock contradicts the majority and is ignored; correct it (NTP)"


class KeptClock:
    """Thread-safe: any thread may call it. `start` runs `run` in its own thread."""

    def __init__(
        self,
        connections: Connections,
        producer: Callable[[dict[str, Any]], Asker],
        boot: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`boot` and `wall` read CLOCK_BOOTTIME and CLOCK_REALTIME, in seconds."""
        self._connections, self._make_producer, self._boot, self._wall = connections, producer, boot, wall
        self._clock, self._lock = ClusterClock(), threading.Lock()
        self._wanted, self._known, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._wanted.set()
        self._said: tuple[ClockState, frozenset[int]] | None = None
        self._said_at = 0.0
        self._producer: Asker | None = None

    @property
    def is_steady(self) -> bool:
        return self._state() is ClockState.STEADY

    def now(self) -> datetime:
        with self._lock:
            return self._clock.now(self._boot())

    def at(self, boot: float) -> datetime:
        """Cluster time at `boot`, a past moment of CLOCK_BOOTTIME in seconds."""
        now, present = self._boot(), self.now()
        return present - timedelta(seconds=max(now - boot, 0.0))

    def wait_until_known(self, seconds: float) -> bool:
        return self._known.wait(seconds)

    def observe(self, *, sent: float, acknowledged: float, appended_ms: int) -> None:
        """Takes a record's acknowledgement: its LogAppendTime lies between these two seconds of CLOCK_BOOTTIME."""
        with self._lock:
            self._clock.observe(span_of(sent=sent, acknowledged=acknowledged, appended_ms=appended_ms))
            state = self._clock.state(self._boot())
        if state is not ClockState.STEADY:
            self._wanted.set()

    def start(self, on_turn: Callable[[], None] = lambda: None) -> None:
        threading.Thread(target=self.run, args=(on_turn,), name="clock", daemon=True).start()

    def stop(self) -> None:
        self._ended.set()
        self._wanted.set()

    def run(self, on_turn: Callable[[], None] = lambda: None) -> None:
        """`on_turn` is called at each turn: after `IDLE_SECONDS`, or after a round, which takes some seconds."""
        while not self._ended.is_set():
            on_turn()
            if self._wanted.wait(IDLE_SECONDS):
                self.turn()
                self._ended.wait(ROUND_SECONDS)

    def turn(self) -> None:
        """Runs one round. If no broker answers, the next round asks again."""
        try:
            self._producer = self._producer or self._make_producer(self._connections.kafka(**PRODUCER_OPTIONS))
            asked = ask_brokers(self._producer, self._connections.topic(EXECUTORS), self._boot, self._wall)
        except Exception as error:  # noqa: BLE001 - a client may raise anything; the next round asks again
            log.warning("clock_unanswered", error=str(error))
            return
        with self._lock:
            self._clock.hear(asked)
        self._settle()

    def _settle(self) -> None:
        state = self._state()
        if state is not ClockState.UNKNOWN:
            self._known.set()
        if state is ClockState.STEADY:
            self._wanted.clear()
            self._producer = None
        self._say(state)

    def _state(self) -> ClockState:
        with self._lock:
            return self._clock.state(self._boot())

    def _say(self, state: ClockState) -> None:
        with self._lock:
            wrong, differences = self._clock.wrong_brokers(), self._clock.differences()
        if (state, wrong) == self._said and self._boot() - self._said_at < AGAIN_SECONDS:
            return
        self._said, self._said_at = (state, wrong), self._boot()
        if state is not ClockState.STEADY:
            log.error(state.value, note=_NOTES[state], seconds_ahead=differences)
        elif wrong:
            log.error("broker_clock_wrong", note=_WRONG_BROKER, brokers=sorted(wrong), seconds_ahead=differences)
        else:
            log.info(state.value, note=_NOTES[state], seconds_ahead=differences)
