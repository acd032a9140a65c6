"""What a worker knows of the executors' heartbeats: the last one of each, and how far the topic was read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from schemas.heartbeat import ExecutorState
from schemas.ids import ExecutorId
from streams.core.inputs import HeartbeatHeard

REMEMBERED = timedelta(minutes=10)
"""Far beyond any lease: an executor that was killed never says that it is gone."""


class Roll:
    """Pure. `read` says how far, once what was read has been delivered."""

    def __init__(self) -> None:
        self._latest: dict[ExecutorId, HeartbeatHeard] = {}
        self.read: Mapping[int, int] = {}
        """By partition: the offset up to which every heartbeat has been delivered."""

    def hear(self, heard: HeartbeatHeard) -> None:
        executor_id = heard.heartbeat.executor_id
        if heard.heartbeat.state is ExecutorState.GONE:
            self._latest.pop(executor_id, None)
        elif executor_id in self._latest:
            self._latest[executor_id] = heard
        else:
            self._latest = alive({**self._latest, executor_id: heard})

    def note(self, positions: Mapping[int, int]) -> None:
        """Up to here heartbeats have been heard, by partition."""
        self.read = {**self.read, **positions}

    def latest(self) -> list[HeartbeatHeard]:
        """Of every executor that may be alive the last heartbeat: what an owner that begins now must know."""
        self._latest = alive(self._latest)
        return list(self._latest.values())


def alive(latest: Mapping[ExecutorId, HeartbeatHeard]) -> dict[ExecutorId, HeartbeatHeard]:
    """Without those that have been silent for long, as of the newest word of any of them."""
    newest = max((each.appended_at for each in latest.values()), default=None)
    return {name: each for name, each in latest.items() if newest and newest - each.appended_at <= REMEMBERED}
