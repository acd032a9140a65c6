"""Apply the overlap policy: count the open runs of a job, stop replaced runs, release held runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from schemas.ids import OwnerId
from schemas.job import JobSpec
from schemas.words import RunState
from streams.core.effects import Effect
from streams.core.policy.overlap import (
    START,
    OpenRuns,
    OverlapDecision,
    Replace,
    decide_overlap,
    free_slots,
    keeps_order,
)
from streams.core.reason import Reason
from streams.core.runs.cancel import AT_ONCE, cancel_each
from streams.core.runs.life import store_and_publish
from streams.core.runs.occupancy import Category, Occupancy, occupancy_entry
from streams.core.runs.run import Run, transition_to
from streams.core.state import OwnerState


def on_overlap(state: OwnerState, job: JobSpec, nominal_time: datetime, now: datetime) -> OverlapDecision:
    """Decide a due occurrence of `job` by its open runs."""
    occupancy = state.derived.occupancy.get(job.job_id)
    return START if occupancy is None else decide_overlap(job, _count(state, occupancy, nominal_time, now))


def grace_of(job: JobSpec, decision: Replace) -> timedelta:
    """The time between TERM and KILL for replaced runs."""
    return job.cancel_grace if decision.gently else AT_ONCE


def stop_others(
    state: OwnerState, job: JobSpec, nominal_time: datetime, grace: timedelta, reason: Reason, now: datetime
) -> list[Effect]:
    """Stop the runs of `job` that an occurrence replaces, as `cancel_each` does."""
    runs = sorted(_replaced(state, job.job_id, nominal_time, now), key=lambda each: each.run_id)
    return cancel_each(state, runs, grace, reason, now)


def release_held(state: OwnerState, now: datetime) -> list[Effect]:
    """Held runs become due in the order of their times, as far as the job's limit allows.

    Reruns come after them. Runs that catch up come last, unless the policy runs all in order.
    """
    effects: list[Effect] = []
    freed, state.step.freed = state.step.freed, set()
    for job_id in sorted(freed & state.derived.occupancy.keys()):
        state.current_job = job_id
        job = state.durable.jobs[OwnerId(job_id)].spec
        occupancy = state.derived.occupancy[job_id]
        free = free_slots(job, active=occupancy.active(now), held=occupancy.held_count)
        for run_id in occupancy.next_held(free, in_order=keeps_order(job)):
            if state.transaction.is_full:
                state.step.freed.add(job_id)
                break
            effects += _release(state, state.durable.runs[run_id], now)
            state.transaction.spend(effects=1)
    return effects


def _count(state: OwnerState, occupancy: Occupancy, nominal_time: datetime, now: datetime) -> OpenRuns:
    first = occupancy.first_open_before(nominal_time)
    return OpenRuns(
        active=occupancy.active(now),
        held=occupancy.held_count,
        open_then=occupancy.open_before(nominal_time),
        held_then=occupancy.held_before(nominal_time),
        catching_up_then=occupancy.catching_up_before(nominal_time),
        any_since=occupancy.has_any_since(nominal_time, now),
        first_open_then=(first, state.durable.runs[first].state) if first else None,
    )


def _replaced(state: OwnerState, job_id: str, nominal_time: datetime, now: datetime) -> Iterator[Run]:
    """The runs that were open at that time, except held runs that catch up: these wait behind the occurrence."""
    occupancy = state.derived.occupancy.get(job_id)
    for run_id in occupancy.runs(now) if occupancy else ():
        run = state.durable.runs[run_id]
        entry = occupancy_entry(run)
        if entry and entry.since <= nominal_time and entry.category is not Category.HELD_CATCH_UP:
            yield run


def _release(state: OwnerState, run: Run, now: datetime) -> list[Effect]:
    status = transition_to(run.status, RunState.QUEUED, version=state.next_token(), at=now)
    state.wait_until(run.due_at, run.run_id)
    return store_and_publish(state, msgspec.structs.replace(run, status=status, held=False))
