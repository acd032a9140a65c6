"""Occurrences that have not started by their deadline, `start_deadline` after their time: they are missed."""

from __future__ import annotations

import heapq
from datetime import datetime

import msgspec

from schemas.words import RunState
from streams.core.effects import Effect
from streams.core.life import put
from streams.core.run import move
from streams.core.state import OwnerState


def miss_overdue(state: OwnerState, now: datetime) -> list[Effect]:
    """An attempt that is under way at that moment goes on; if it never starts, its run is missed then."""
    effects: list[Effect] = []
    while state.derived.start_deadlines and state.derived.start_deadlines[0][0] <= now:
        start_by, run_id = heapq.heappop(state.derived.start_deadlines)
        run = state.durable.runs.get(run_id)
        if run is None or run.start_by != start_by or run.open_attempt or run.status.started_at:
            continue
        state.at_work = run.status.job_id
        reason = f"start_deadline: not started within {start_by - run.status.scheduled_time} of its time"
        status = move(run.status, RunState.MISSED, version=state.next_token(), at=now, reason=reason)
        effects += put(state, msgspec.structs.replace(run, status=status))
    return effects
