"""The fields of a record of `status` that the metrics need; the decoder skips all others (`schemas.status`)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

import msgspec

from schemas.reasons import ReasonCode
from schemas.words import AttemptEnd, RunKind, RunState

Instant: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Any producer may write to the topic: what passes here cannot stop the fold."""


class SeenTransition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    version: Number
    at: Instant
    state: RunState
    attempt: Number
    reason_code: ReasonCode | None = None


class SeenAttempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    attempt: Number
    timeout_class: str
    started_at: Instant | None = None
    finished_at: Instant | None = None
    end: AttemptEnd | None = None
    reason_code: ReasonCode | None = None


class SeenMissed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    count: Number


class SeenHead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a record says without its history: enough for a run that has ended before the counting began."""

    run_id: str
    job_id: str
    tenant: str
    kind: RunKind
    state: RunState
    finished_at: Instant | None = None


class SeenRun(SeenHead, frozen=True, kw_only=True, gc=False):
    version: Number
    scheduled_time: Instant
    timeout_class: str | None = None
    queued_at: Instant | None = None
    started_at: Instant | None = None
    request_id: str | None = None
    rerun_id: str | None = None
    missed: SeenMissed | None = None
    transitions: tuple[SeenTransition, ...] = ()
    attempts: tuple[SeenAttempt, ...] = ()
