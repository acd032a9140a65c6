"""Rate limits of runs that catch up: one per job, one per partition."""

from __future__ import annotations

from datetime import datetime, timedelta

from streams.core.runs.run import Lane, Run
from streams.core.state import OwnerState

MINUTE = timedelta(minutes=1)
BURST = timedelta(seconds=1)
"""The partition's limit allows a burst of this length; older unused rate is lost."""


def take_slot(state: OwnerState, job_id: str, now: datetime) -> datetime:
    """Reserve the next start time for a run of this job that catches up."""
    slot = max(now, state.derived.catchup_slots.place(job_id) or now)
    state.derived.catchup_slots.put(job_id, slot + MINUTE / state.settings.catchup_rate_per_job)
    return slot


def restore_slot(state: OwnerState, run: Run) -> None:
    """After recovery, reserve the start time that an earlier owner gave to `run`."""
    if run.lane is Lane.CATCH_UP and run.status.node_id is None:
        job_id = run.status.job_id
        after = run.due_at + MINUTE / state.settings.catchup_rate_per_job
        state.derived.catchup_slots.put(job_id, max(after, state.derived.catchup_slots.place(job_id) or after))


def forget_slots(state: OwnerState, now: datetime) -> None:
    """Forget slots that lie in the past."""
    while state.derived.catchup_slots.pop_due(now) is not None:
        pass


def may_start(state: OwnerState, lane: Lane, now: datetime) -> bool:
    """Whether the next run of this lane may be dispatched now."""
    if lane is not Lane.CATCH_UP or state.seen.catchup_goes_on <= now + BURST:
        return True
    wake_at = state.seen.catchup_goes_on - BURST
    state.step.catchup_wake = min(wake_at, state.step.catchup_wake or wake_at)
    return False


def use_rate(state: OwnerState, lane: Lane, now: datetime) -> None:
    """A run of this lane was dispatched."""
    if lane is Lane.CATCH_UP:
        state.seen.catchup_goes_on = (
            max(now, state.seen.catchup_goes_on) + MINUTE / state.settings.catchup_rate_per_partition
        )
