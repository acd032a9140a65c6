"""Which occurrences of a pause became runs before the pause ends, so that its catch-up does not run them again.

The end of a pause decides its occurrences. Until then a backfill may plan runs for some of them, and a rerun may run
one. The job's stored state notes these as intervals [from, to), so the next owner knows them too.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.ids import OwnerId
from schemas.times import MILLISECOND
from streams.core.effects import Effect, PutJob
from streams.core.policy.intervals import joined
from streams.core.state import OwnerState

MAX_COVERED = 1_000
"""How many intervals one job may have; they are stored with each change of the job."""


def cover(state: OwnerState, owner: OwnerId, begin: datetime, end: datetime) -> list[Effect]:
    """Note that the occurrences in [begin, end) have become runs."""
    job = state.durable.jobs[owner]
    if begin >= end or not _is_undecided(state, owner, end):
        return []
    state.durable.jobs[owner] = msgspec.structs.replace(job, covered=joined([*job.covered, (begin, end)]))
    return [PutJob(owner=owner, job=state.durable.jobs[owner])]


def cover_one(state: OwnerState, owner: OwnerId, nominal_time: datetime) -> list[Effect]:
    return cover(state, owner, nominal_time, nominal_time + MILLISECOND)


def pause_refusal(state: OwnerState, owner: OwnerId, end: datetime, planned: int = 0) -> str | None:
    """Why no more occurrences of a pause may run before it ends; `planned` intervals will be added."""
    job = state.durable.jobs[owner]
    if len(job.covered) + planned < MAX_COVERED or not _is_undecided(state, owner, end):
        return None
    return (
        f"{owner!r} is paused, and {len(job.covered) + planned} parts of its pause were run separately, "
        f"at most {MAX_COVERED} may be; resume it, or ask for one backfill of the whole pause"
    )


def _is_undecided(state: OwnerState, owner: OwnerId, end: datetime) -> bool:
    """Whether there may be an occurrence before `end` that the end of a pause decides."""
    job = state.durable.jobs[owner]
    return job.spec.paused and not job.deleted and end > job.since
