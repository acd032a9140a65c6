"""The last heartbeat of each executor, and how far a worker has read the topic `executors`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from schemas.heartbeat import ExecutorState
from schemas.ids import ExecutorId
from streams.core.inputs import HeartbeatHeard

KEEP_FOR = timedelta(minutes=10)
"""Far longer than any lease: a killed executor never reports that it is gone."""


class KnownHeartbeats:
    """Pure: no threads and no I/O."""

    def __init__(self) -> None:
        self._latest: dict[ExecutorId, HeartbeatHeard] = {}
        self.delivered: Mapping[int, int] = {}
        """By partition of `executors`: the offset up to which every heartbeat has been delivered to the owners."""

    def note(self, heard: HeartbeatHeard) -> None:
        executor_id = heard.heartbeat.executor_id
        if heard.heartbeat.state is ExecutorState.GONE:
            self._latest.pop(executor_id, None)
        elif executor_id in self._latest:
            self._latest[executor_id] = heard
        else:
            self._latest = without_silent({**self._latest, executor_id: heard})

    def note_positions(self, positions: Mapping[int, int]) -> None:
        """Every heartbeat below these offsets, by partition, has been delivered."""
        self.delivered = {**self.delivered, **positions}

    def all_alive(self) -> list[HeartbeatHeard]:
        """The last heartbeat of each executor that may be alive: a new owner needs them."""
        self._latest = without_silent(self._latest)
        return list(self._latest.values())


def without_silent(latest: Mapping[ExecutorId, HeartbeatHeard]) -> dict[ExecutorId, HeartbeatHeard]:
    """Drop the executors that were silent for `KEEP_FOR` before the newest heartbeat of all."""
    newest = max((each.appended_at for each in latest.values()), default=None)
    return {name: each for name, each in latest.items() if newest and newest - each.appended_at <= KEEP_FOR}
