"""Which occurrences of a pause have become runs before it ends: its catch-up does not run them again.

The occurrences of a pause are decided when it ends. Until then a backfill may lay out runs for some of them, and a
rerun may run one: these are noted with the job, as stretches [from, to), and outlive the owner.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from schemas.ids import OwnerId
from schemas.times import MILLISECOND
from streams.core.effects import Effect, PutJob
from streams.core.state import OwnerState
from streams.core.stored import Stretch

MAX_COVERED = 1_000
"""Stretches of one job, stored with it each time; what would need one more is refused."""
_INSTANT = timedelta(microseconds=1)


def cover(state: OwnerState, owner: OwnerId, begin: datetime, end: datetime) -> list[Effect]:
    """The occurrences in [begin, end) have become runs, or have been runs before."""
    job = state.durable.jobs[owner]
    if begin >= end or not _is_undecided(state, owner, end):
        return []
    state.durable.jobs[owner] = msgspec.structs.replace(job, covered=joined([*job.covered, (begin, end)]))
    return [PutJob(owner=owner, job=state.durable.jobs[owner])]


def cover_one(state: OwnerState, owner: OwnerId, nominal_time: datetime) -> list[Effect]:
    return cover(state, owner, nominal_time, nominal_time + MILLISECOND)


def why_full(state: OwnerState, owner: OwnerId, end: datetime, planned: int = 0) -> str | None:
    """Why nothing more of a pause can be run before it ends, as a sentence; `planned` stretches come yet."""
    job = state.durable.jobs[owner]
    if len(job.covered) + planned < MAX_COVERED or not _is_undecided(state, owner, end):
        return None
    return (
        f"{owner!r} is paused, and {len(job.covered) + planned} stretches of its pause were run separately, "
        f"at most {MAX_COVERED} may be; resume it, or ask for one backfill of the whole pause"
    )


def is_covered(covered: tuple[Stretch, ...], nominal_time: datetime) -> bool:
    index = bisect_right(covered, nominal_time, key=lambda each: each[0])
    return index > 0 and nominal_time < covered[index - 1][1]


def outside(covered: tuple[Stretch, ...], first: datetime, last: datetime) -> Iterator[Stretch]:
    """What is left of [first, last], as (after, until]."""
    after = first - _INSTANT
    for begin, end in covered:
        if end > after and begin <= last:
            if begin - _INSTANT > after:
                yield after, begin - _INSTANT
            after = end - _INSTANT
    if after < last:
        yield after, last


def joined(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """In order, and those that touch as one."""
    found: list[Stretch] = []
    for begin, end in sorted(stretches):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return tuple(found)


def _is_undecided(state: OwnerState, owner: OwnerId, end: datetime) -> bool:
    """Whether there may be an occurrence before `end` that the end of a pause decides."""
    job = state.durable.jobs[owner]
    return job.spec.paused and not job.deleted and end > job.since
