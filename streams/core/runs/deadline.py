"""Runs that have not started by their deadline, `start_deadline` after their scheduled time, are missed."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.reasons import ReasonCode
from schemas.words import RunState
from streams.core.effects import Effect
from streams.core.reason import Reason
from streams.core.room import MICROSECONDS_OF_A_CHECK
from streams.core.runs.life import store_and_publish
from streams.core.runs.run import transition_to
from streams.core.state import OwnerState


def miss_overdue(state: OwnerState, now: datetime) -> list[Effect]:
    """A run with an open attempt is not missed now; if that attempt never starts, the run is missed later."""
    effects: list[Effect] = []
    deadlines, room = state.derived.start_deadlines, state.transaction
    while not room.is_full and (run_id := deadlines.pop_due(now)) is not None:
        room.spend(work_us=MICROSECONDS_OF_A_CHECK)
        run = state.durable.runs[run_id]
        if run.start_by is None or run.open_attempt or run.status.started_at:
            continue
        state.current_job = run.status.job_id
        text = f"not started within {run.start_by - run.status.scheduled_time} of its time"
        reason = Reason(ReasonCode.START_DEADLINE, text)
        status = transition_to(run.status, RunState.MISSED, version=state.next_token(), at=now, reason=reason)
        effects += store_and_publish(state, msgspec.structs.replace(run, status=status))
        room.spend(effects=1)
    return effects
