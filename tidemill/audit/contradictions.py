"""What contradicts itself in the history of one run, as the topic `status` has it: the rules of `audit_stories.sql`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from schemas.reasons import ReasonCode
from schemas.status import RunStatus
from schemas.times import rfc3339
from schemas.words import OPEN_STATES, AttemptEnd, RunKind, RunState
from tidemill.audit.findings import Finding

Contradiction = tuple[Finding, str]
_NO_PROCESS = (RunKind.DAG, RunKind.BACKFILL)


def contradictions(status: RunStatus, tolerance: timedelta) -> Iterator[Contradiction]:
    """`tolerance`: how far the clocks of two processes may differ."""
    state, attempts = status.state.value, status.attempts
    if status.transitions and status.transitions[-1].state is not status.state:
        moved = status.transitions[-1].state.value
        yield Finding.STATUS_LIE, f"it is {state}, and its last transition is to {moved}"
    if status.state is RunState.SUCCEEDED:
        yield from _without_success(status)
    elif status.state not in OPEN_STATES and attempts and attempts[-1].end is None:
        yield Finding.STATUS_LIE, f"it is {state}, and its last attempt has no end"
    first = attempts[0].started_at if attempts and attempts[0].attempt == 1 else None
    if first and first < status.scheduled_time - tolerance and status.rerun_id is None:
        yield Finding.EARLY, f"it started at {rfc3339(first)}, before its scheduled time"
    for before, after in pairwise(attempts):
        if before.end is AttemptEnd.LOST:
            continue  # executed again after a lost lease: it is named, and no mistake
        if before.finished_at and after.started_at and after.started_at < before.finished_at - tolerance:
            earlier = f"attempt {before.attempt} ({before.end.value if before.end else 'open'})"
            times = f"{rfc3339(after.started_at)}, before {earlier} ended at {rfc3339(before.finished_at)}"
            yield Finding.TWICE, f"attempt {after.attempt} started at {times}"


def _without_success(status: RunStatus) -> Iterator[Contradiction]:
    if status.kind in _NO_PROCESS or status.reason_code is ReasonCode.MARKED:
        return
    end = status.attempts[-1].end if status.attempts else None
    if end is not AttemptEnd.SUCCEEDED:
        yield Finding.STATUS_LIE, f"it is succeeded, and its last attempt is {end.value if end else 'open'}"
