"""What happens to an occurrence whose job still has an open run, and when one that waits is let go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from schemas.ids import OwnerId
from schemas.job import JobSpec
from schemas.words import OverlapPolicy, RunState
from streams.core.cancel import AT_ONCE, cancel_each
from streams.core.effects import Effect
from streams.core.life import put
from streams.core.run import Run, move
from streams.core.state import OwnerState


class Start(msgspec.Struct, frozen=True):
    """Nothing is in its way."""


class Skip(msgspec.Struct, frozen=True, kw_only=True):
    reason: str


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """It is queued, and let go when others have ended."""

    reason: str


class Replace(msgspec.Struct, frozen=True, kw_only=True):
    """What is open is told to stop; when it is gone, the occurrence takes its place."""

    grace: timedelta


Verdict = Start | Skip | Hold | Replace

START = Start()


def on_overlap(state: OwnerState, job: JobSpec, now: datetime) -> Verdict:
    """What becomes of an occurrence of `job` that is due."""
    match job.overlap_policy:
        case OverlapPolicy.SKIP:
            if not state.held_count(job.job_id) and _room(state, job, now):
                return START
            run = next(_open_runs(state, job.job_id, now))
            return Skip(reason=f"overlap: {run.run_id} is {run.state.value}")
        case OverlapPolicy.BUFFER_ONE:
            return _wait_for_room(state, job, 1, now)
        case OverlapPolicy.BUFFER_ALL | OverlapPolicy.ALLOW_ALL:
            return _wait_for_room(state, job, job.buffer_limit, now)
        case OverlapPolicy.CANCEL_OTHER:
            return _replace(state, job, job.cancel_grace, now)
        case OverlapPolicy.TERMINATE_OTHER:
            return _replace(state, job, AT_ONCE, now)
        case _:
            assert_never(job.overlap_policy)


def stop_others(state: OwnerState, job: JobSpec, grace: timedelta, reason: str, now: datetime) -> list[Effect]:
    """Tell the open runs of `job` to stop, as `cancel_each`; those that wait are cancelled at once."""
    runs = sorted(_open_runs(state, job.job_id, now), key=lambda each: each.run_id)
    return cancel_each(state, runs, grace, reason, now)


def let_go(state: OwnerState, now: datetime) -> list[Effect]:
    """Runs that were held back, in the order in which they were due, as far as others have made room.

    Those that were asked to run again go last.
    """
    effects: list[Effect] = []
    freed, state.step.freed = state.step.freed, set()
    for job_id in sorted(freed & state.derived.occupancy.keys()):
        state.at_work = job_id
        room = _room(state, state.durable.jobs[OwnerId(job_id)].spec, now)
        for run_id in state.derived.occupancy[job_id].first_held(room):
            if state.transaction.is_full:
                state.step.freed.add(job_id)
                break
            effects += _release(state, state.durable.runs[run_id], now)
            state.transaction.take(effects=1)
    return effects


def _wait_for_room(state: OwnerState, job: JobSpec, buffer_limit: int, now: datetime) -> Verdict:
    """Behind those that wait already, so that their order is kept."""
    waiting = state.held_count(job.job_id)
    if waiting == 0 and _room(state, job, now):
        return START
    if waiting >= buffer_limit:
        return Skip(reason=f"overlap: {waiting} of at most {buffer_limit} wait already")
    limit = _at_a_time(job)
    return Hold(
        reason=f"overlap: waits until fewer than {limit} are open"
        if limit != 1
        else "overlap: waits for the run before it"
    )


def _replace(state: OwnerState, job: JobSpec, grace: timedelta, now: datetime) -> Verdict:
    return Replace(grace=grace) if any(True for _ in _open_runs(state, job.job_id, now)) else START


def _release(state: OwnerState, run: Run, now: datetime) -> list[Effect]:
    status = move(run.status, RunState.QUEUED, version=state.next_token(), at=now)
    state.wait_until(run.due_at, run.run_id)
    return put(state, msgspec.structs.replace(run, status=status, held=False))


def _at_a_time(job: JobSpec) -> int | None:
    """With other policies than `allow_all` only a DAG has a limit: `max_active_epochs`."""
    return job.concurrency_limit if job.overlap_policy is OverlapPolicy.ALLOW_ALL else job.concurrency_limit or 1


def _room(state: OwnerState, job: JobSpec, now: datetime) -> int:
    """How many more runs may be open and not held."""
    limit = _at_a_time(job)
    if limit is None:
        return state.held_count(job.job_id) + 1
    occupancy = state.derived.occupancy.get(job.job_id)
    return max(0, limit - occupancy.at_work(now)) if occupancy else limit


def _open_runs(state: OwnerState, job_id: str, now: datetime) -> Iterator[Run]:
    """Runs in any state that is not final; the one that has been due for the longest comes first, held ones last."""
    occupancy = state.derived.occupancy.get(job_id)
    return (state.durable.runs[run_id] for run_id in occupancy.runs(now)) if occupancy else iter(())
