"""An owner that crashes often, and an executor that reports twice, on the simulated log."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from schemas.codec import decode
from schemas.event import EndCause
from schemas.status import RunStatus
from schemas.topics import STATUS
from tests.support.simulated.driven_session import DrivenSession, Fault
from tests.support.simulated.log import BATCH_WAIT, Log, ended, started


class Fate(Enum):
    """How a turn ends."""

    COMMITTED = None
    LOST = Fault.LOST
    """The owner crashes before the commit."""
    UNKNOWN = Fault.UNKNOWN
    """The transaction is committed, and the owner crashes before it gets the answer."""


class CrashScenario:
    """A log, an owner that a test crashes in any turn, and an executor that reports each event twice."""

    def __init__(self, log: Log | None = None) -> None:
        self.log = log or Log()
        self.owner: DrivenSession
        self.reported = 0

    def turn(self, fate: Fate, seconds: float) -> None:
        self.log.now += timedelta(seconds=seconds)
        self.owner.fault = fate.value
        self.owner.turn()
        if fate is not Fate.COMMITTED:
            self.owner = self.log.recover()

    def execute(self, exit_code: int, cause: EndCause) -> None:
        """Starts and ends the next dispatch; reports both events twice, as a producer's retry may do."""
        dispatches = self.log.dispatches()
        if self.reported < len(dispatches):
            dispatch = dispatches[self.reported]
            self.reported += 1
            events = (started(dispatch, self.log.now), ended(dispatch, self.log.now, exit_code, cause))
            for _ in range(2):
                self.owner.offer(self.log.report(*events))

    def settle(self) -> None:
        """Executes everything until the owner has nothing to do."""
        for _ in range(2_000):
            self.turn(Fate.COMMITTED, 1)
            self.execute(0, EndCause.EXITED)
            is_idle = not (self.owner.backlog or self.owner.state.durable.cursor or self.owner.state.durable.runs)
            if is_idle and self.reported == len(self.log.dispatches()):
                self.turn(Fate.COMMITTED, BATCH_WAIT.total_seconds())
                return

    def history(self) -> list[RunStatus]:
        return [decode(r.value, RunStatus) for r in self.log.written if r.topic == STATUS]
