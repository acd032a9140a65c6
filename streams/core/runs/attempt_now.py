"""Rerun of a run that waits for its next attempt: skip the wait, because a user has repaired the cause."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.reasons import ReasonCode
from schemas.request import Request
from schemas.words import RunState
from streams.core.effects import Effect
from streams.core.reason import Reason
from streams.core.runs.life import store_and_publish
from streams.core.runs.run import Run, transition_to
from streams.core.state import OwnerState


def waiting_run(state: OwnerState, request: Request) -> Run | None:
    """The run that `request` names, if it waits for its next attempt and `downstream` is not set."""
    run = None if request.run_id is None or request.downstream else state.durable.runs.get(request.run_id)
    return run if run is not None and run.state is RunState.RETRY_WAIT else None


def attempt_now(state: OwnerState, run: Run, request: Request, now: datetime) -> list[Effect]:
    """The same run continues: attempts and failures count on, and the payload stays unless the request has one."""
    text = f"attempted now: {request.note}" if request.note else f"attempted now by request {request.request_id}"
    reason = Reason(ReasonCode.RETRIED_BY_REQUEST, text)
    status = transition_to(run.status, RunState.QUEUED, version=state.next_token(), at=now, reason=reason)
    payload = run.payload if request.payload is None else request.payload
    state.wait_until(now, run.run_id)
    return store_and_publish(state, msgspec.structs.replace(run, status=status, payload=payload, due_at=now))
