"""The real cluster clock of a process, over simulated brokers and hosts: its thread becomes events."""

from __future__ import annotations

from schemas.cluster_clock import ClockState, Round, Span, span_of
from schemas.kept_clock import IDLE_SECONDS, ROUND_SECONDS, KeptClock
from schemas.settings import Connections
from tests.simulation.things.brokers import Brokers
from tests.simulation.things.world import START_SECONDS, Process

CONNECTIONS = Connections()
ROUND_TRIP = 0.01


class SimulatedClock(KeptClock):
    """Asks the simulated brokers instead of real ones; the judgement is `ClusterClock`'s."""

    def __init__(self, process: Process, brokers: Brokers) -> None:
        world = process.world
        super().__init__(CONNECTIONS, _no_producer, world.boot, lambda: START_SECONDS + world.now)
        self._process, self._brokers = process, brokers
        self._is_round_due = False

    def start_asking(self) -> None:
        self._is_round_due = True
        self._process.after(0.02, self._ask)

    def observe(self, *, sent: float, acknowledged: float, appended_ms: int) -> None:
        super().observe(sent=sent, acknowledged=acknowledged, appended_ms=appended_ms)
        if self._wanted.is_set() and not self._is_round_due:
            self._is_round_due = True
            self._process.after(IDLE_SECONDS * self._process.world.random.random(), self._ask)

    def _ask(self) -> None:
        process, brokers = self._process, self._brokers
        if not (process.is_cut_off or brokers.are_down):
            boot, answers = process.world.boot(), {}
            for number, skew in enumerate(brokers.skews):
                at = START_SECONDS + process.world.now + skew
                answers[number] = span_of(sent=boot - ROUND_TRIP, acknowledged=boot, appended_ms=int(at * 1000))
            with self._lock:
                self._clock.hear(Round(at=boot, asked=len(answers), answers=answers, host=self._wall() - boot))
            self._settle()
        self._is_round_due = self._state() is not ClockState.STEADY
        if self._is_round_due:
            process.after(ROUND_SECONDS, self._ask)

    def _settle(self) -> None:
        """Without the log lines."""
        state = self._state()
        if state is not ClockState.UNKNOWN:
            self._known.set()
        if state is ClockState.STEADY:
            self._wanted.clear()
        self._process.world.coverage["clock", state.value] += 1


def _no_producer(_: object) -> Span:
    raise AssertionError("a simulated clock needs no producer")
