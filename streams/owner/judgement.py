"""When silence is judged: claims first, then `events` and heartbeats to an end fetched later (protocol D5, L3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import assert_never

from schemas.times import EPOCH
from schemas.topics import EVENTS
from streams.core.inputs import ClaimsSeen
from streams.core.runs.leases import wants_claims, wants_judgement
from streams.owner.limits import Limits
from streams.owner.owner import Owner
from streams.owner.pulls import Pulls
from streams.owner.session_calls import (
    GetHeartbeatOffsets,
    LogFailedError,
    ReadClaims,
    ReadExecutorEnds,
    Steps,
    Taken,
    perform,
)


class Stage(Enum):
    IDLE = "idle"
    """Nothing looks lost."""
    HEARING = "hearing"
    """The worker reads heartbeats up to the ends that were fetched."""
    TAKING = "taking"
    """It has; they are on their way to the owner."""
    PULLING = "pulling"
    """The owner has them; `events` is read to an end that is fetched now."""


class Judgement:
    """Collects the evidence. The owner calls an attempt lost, in `judge(as_of)`, when all of it is there."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._stage = Stage.IDLE
        self._as_of = self._next = EPOCH
        self._ends: Mapping[int, int] = {}
        self._to_take = 0
        """Deliveries that waited when the heartbeats were there, and have not been taken."""

    @property
    def is_urgent(self) -> bool:
        """The next turn has something to do for it."""
        return self._stage in (Stage.TAKING, Stage.PULLING)

    def note_taken(self, owner: Owner, pulls: Pulls, taken: Taken) -> None:
        """Once all that waited then is taken, the owner has every heartbeat that the worker had read."""
        self._to_take -= len(taken.items)
        if self._stage is Stage.TAKING and (taken.is_all or self._to_take <= 0):
            pulls.begin(EVENTS, owner.state.durable.applied[EVENTS].offset)
            self._stage = Stage.PULLING

    def advance(self, owner: Owner, pulls: Pulls, now: datetime) -> Steps[None]:
        """One turn's worth of it. A question without an answer changes nothing: silence is judged later."""
        try:
            match self._stage:
                case Stage.IDLE:
                    yield from self._look(owner, now)
                case Stage.HEARING:
                    yield from self._hear()
                case Stage.TAKING:
                    pass
                case Stage.PULLING if EVENTS not in pulls:
                    owner.judge(self._as_of)
                    self._stage = Stage.IDLE
                case Stage.PULLING:
                    pass
                case _:
                    assert_never(self._stage)
        except LogFailedError:
            self._next, self._stage = now + self._limits.judge_backoff, Stage.IDLE

    def _look(self, owner: Owner, now: datetime) -> Steps[None]:
        if now < self._next:
            return
        self._next = now + self._limits.judge_interval
        if wants_claims(owner.state, now):
            owner.learn(ClaimsSeen(claimed_below=(yield from perform(ReadClaims())).value, as_of=now))
        if wants_judgement(owner.state, now):
            self._ends = (yield from perform(ReadExecutorEnds())).value
            self._as_of, self._stage = now, Stage.HEARING

    def _hear(self) -> Steps[None]:
        heard = (yield from perform(GetHeartbeatOffsets())).value
        if all(heard.delivered.get(partition, 0) >= end for partition, end in self._ends.items()):
            self._to_take, self._stage = heard.waiting, Stage.TAKING
