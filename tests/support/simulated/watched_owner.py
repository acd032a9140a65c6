"""An owner whose transactions are checked: each keeps its limits, and the rest follows in later transactions."""

from __future__ import annotations

from datetime import timedelta

from schemas.dag import NodeSpec
from schemas.dispatch import Dispatch
from schemas.heartbeat import AttemptInHand, Window
from streams.core.inputs import HeartbeatHeard
from streams.core.room import Bounds
from streams.core.settings import CoreSettings
from tests.support.simulated.heartbeats import heartbeat as plain_heartbeat
from tests.support.simulated.log import Log, ended, started

BOUNDS = Bounds(effects=60, bytes=300_000, work_us=8_000, nodes=20)
"""Small bounds, so that a few hundred of anything exceed them."""
LAST_ITEM = 30
"""Effects by which a transaction may exceed its bound: its last item, and the counts written at its end."""
LAST_WORK_US = 4_000
"""Microseconds by which the last record may exceed the bound: a resumption is decided at once."""
LAST_BYTES = 300_000
"""Bytes by which the last record, written twice, may exceed the bound."""
SETTINGS = CoreSettings(bounds=BOUNDS, resume_limit=20)
MOST_TURNS = 3_000
"""An owner without new input is idle after fewer transactions than this."""
CLASS = "10s"
WINDOW = 500
ONE_MILLISECOND = timedelta(milliseconds=1)


class WatchedOwner:
    """An owner; `turn` fails if a transaction exceeds its limits."""

    def __init__(self, settings: CoreSettings = SETTINGS) -> None:
        self.log, self.settings, self.version = Log(), settings, 0
        self.transactions = 0
        self.reported = 0
        self.owner = self.log.recover(settings=settings)

    def recover(self) -> None:
        self.owner = self.log.recover(settings=self.settings)

    def define(self, job_id: str = "job", **fields: object) -> None:
        self.version += 1
        self.owner.offer(self.log.define(self.version, job_id=job_id, **fields))

    def define_dag(self, *nodes: NodeSpec, **fields: object) -> None:
        self.version += 1
        self.owner.offer(self.log.define_dag(*nodes, version=self.version, **fields))

    def request(self, request_id: str, **fields: object) -> None:
        self.owner.offer(self.log.request(request_id, **fields))

    def turn(self) -> None:
        room = self.owner.state.transaction
        self.log.now += ONE_MILLISECOND
        self.log.turn(self.owner)
        bounds = self.settings.bounds
        assert room.effects <= bounds.effects + LAST_ITEM
        assert room.bytes <= bounds.bytes + LAST_BYTES
        assert room.work_us <= bounds.work_us + LAST_WORK_US
        self.transactions += self.owner.state.transaction is not room

    def until_idle(self, seconds: float = 0) -> int:
        """Takes turns until the owner has nothing to do; returns the number of transactions."""
        self.log.now += timedelta(seconds=seconds)
        before = self.transactions
        for _ in range(MOST_TURNS):
            self.turn()
            if self.owner.next_wake(self.log.now):
                return self.transactions - before
        raise AssertionError(f"the owner is not idle after {MOST_TURNS} transactions")

    def beat(self, dispatches: list[Dispatch], window: int = WINDOW) -> None:
        """Sends a heartbeat with a window and with the attempts of `dispatches`."""
        windows = (Window(timeout_class=CLASS, partition=0, size=window),)
        attempts = tuple(AttemptInHand(run_id=each.run_id, token=each.token, partition=0) for each in dispatches)
        heartbeat = plain_heartbeat(self.log.now, windows=windows, attempts=attempts)
        self.owner.learn(HeartbeatHeard(heartbeat=heartbeat, appended_at=self.log.now))

    def report(self, exit_code: int, at_once: int = 50) -> None:
        """Reports start and end of everything dispatched since the last call."""
        dispatches = self.log.dispatches()[self.reported :]
        self.reported += len(dispatches)
        for first in range(0, len(dispatches), at_once):
            some = dispatches[first : first + at_once]
            events = [each for d in some for each in (started(d, self.log.now), ended(d, self.log.now, exit_code))]
            self.owner.offer(self.log.report(*events))
