"""How fast what was missed is caught up with: so fast per job, so fast per partition, and after live work."""

from __future__ import annotations

from datetime import datetime, timedelta

from streams.core.runs.run import Lane, Run
from streams.core.state import OwnerState

MINUTE = timedelta(minutes=1)
BURST = timedelta(seconds=1)
"""The rate of a partition is kept over this time: what was not used of it is lost."""


def take_slot(state: OwnerState, job_id: str, now: datetime) -> datetime:
    """When the next run that catches up for this job may start."""
    slot = max(now, state.derived.catchup_slots.place(job_id) or now)
    state.derived.catchup_slots.put(job_id, slot + MINUTE / state.rules.catchup_rate_per_job)
    return slot


def restore_slot(state: OwnerState, run: Run) -> None:
    """What an earlier owner has promised to a run is taken."""
    if run.lane is Lane.CATCH_UP and run.status.node_id is None:
        job_id = run.status.job_id
        after = run.due_at + MINUTE / state.rules.catchup_rate_per_job
        state.derived.catchup_slots.put(job_id, max(after, state.derived.catchup_slots.place(job_id) or after))


def forget_slots(state: OwnerState, now: datetime) -> None:
    """Slots that have passed bind nobody."""
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
            max(now, state.seen.catchup_goes_on) + MINUTE / state.rules.catchup_rate_per_partition
        )
