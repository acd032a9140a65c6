"""The order of judging silence: claims, then heartbeats and `events` to later ends (protocol D5, L3)."""

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
    """No attempt looks lost."""
    READING_HEARTBEATS = "reading_heartbeats"
    """The worker reads heartbeats up to the ends of `executors` that were fetched."""
    TAKING_HEARTBEATS = "taking_heartbeats"
    """The worker has delivered them; the session takes them from its inbox."""
    READING_EVENTS = "reading_events"
    """The owner has them; the session reads `events` to an end that it fetches in this stage."""


class Judgement:
    """Collects the evidence. When it is complete, `Owner.judge` declares the silent attempts lost."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._stage = Stage.IDLE
        self._silent_at = self._next_check = EPOCH
        self._ends: Mapping[int, int] = {}
        self._to_take = 0
        """The deliveries that waited when the heartbeats were complete and have not been taken yet."""

    @property
    def is_urgent(self) -> bool:
        """Whether the next turn must not wait for deliveries."""
        return self._stage in (Stage.TAKING_HEARTBEATS, Stage.READING_EVENTS)

    def note_taken(self, owner: Owner, pulls: Pulls, taken: Taken) -> None:
        """Once the session has taken all deliveries that waited, the owner has every heartbeat up to the ends."""
        self._to_take -= len(taken.items)
        if self._stage is Stage.TAKING_HEARTBEATS and (taken.is_all or self._to_take <= 0):
            pulls.start(EVENTS, owner.state.durable.applied[EVENTS].offset)
            self._stage = Stage.READING_EVENTS

    def advance(self, owner: Owner, pulls: Pulls, now: datetime) -> Steps[None]:
        """Take the next step. If a call gets no answer, silence is judged later."""
        try:
            match self._stage:
                case Stage.IDLE:
                    yield from self._check(owner, now)
                case Stage.READING_HEARTBEATS:
                    yield from self._check_heartbeats()
                case Stage.TAKING_HEARTBEATS:
                    pass
                case Stage.READING_EVENTS if EVENTS not in pulls:
                    owner.judge(self._silent_at)
                    self._stage = Stage.IDLE
                case Stage.READING_EVENTS:
                    pass
                case _:
                    assert_never(self._stage)
        except LogFailedError:
            self._next_check, self._stage = now + self._limits.judge_backoff, Stage.IDLE

    def _check(self, owner: Owner, now: datetime) -> Steps[None]:
        if now < self._next_check:
            return
        self._next_check = now + self._limits.judge_interval
        if wants_claims(owner.state, now):
            owner.learn(ClaimsSeen(claimed_below=(yield from perform(ReadClaims())).value, as_of=now))
        if wants_judgement(owner.state, now):
            self._ends = (yield from perform(ReadExecutorEnds())).value
            self._silent_at, self._stage = now, Stage.READING_HEARTBEATS

    def _check_heartbeats(self) -> Steps[None]:
        offsets = (yield from perform(GetHeartbeatOffsets())).value
        if all(offsets.delivered.get(partition, 0) >= end for partition, end in self._ends.items()):
            self._to_take, self._stage = offsets.waiting, Stage.TAKING_HEARTBEATS
