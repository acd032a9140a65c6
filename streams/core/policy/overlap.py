"""What happens to an occurrence whose job still has an open run, and when one that waits is let go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from schemas.ids import OwnerId
from schemas.job import JobSpec
from schemas.words import OverlapPolicy, RunState
from streams.core.effects import Effect
from streams.core.runs.cancel import AT_ONCE, cancel_each
from streams.core.runs.life import put
from streams.core.runs.occupancy import Place, entry_of
from streams.core.runs.run import Run, move
from streams.core.state import OwnerState


class Start(msgspec.Struct, frozen=True):
    """Nothing is in its way."""


class Skip(msgspec.Struct, frozen=True, kw_only=True):
    reason: str


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """It is queued, and let go when others have ended."""

    reason: str
    catches_up: bool
    """It was decided after its time, and others have come since."""


class Replace(msgspec.Struct, frozen=True, kw_only=True):
    """What is open is told to stop; when it is gone, the occurrence takes its place."""

    grace: timedelta
    catches_up: bool
    """As of what is held."""


Verdict = Start | Skip | Hold | Replace

START = Start()

_DOES = {RunState.RETRY_WAIT: "waits for its next attempt", RunState.CANCELLING: "is being stopped"}
"""What is said of a run that others would have to wait for."""
_IN_ORDER = frozenset({OverlapPolicy.BUFFER_ALL, OverlapPolicy.ALLOW_ALL})
"""All occurrences run one after the other by their times, also those that catch up."""


def on_overlap(state: OwnerState, job: JobSpec, nominal_time: datetime, now: datetime) -> Verdict:
    """What becomes of an occurrence of `job` that is due.

    It overlaps with what was open at its time already. It only waits for what has come since then, and for what
    catches up: no occurrence is skipped because others of its job were decided late (decision 30).
    """
    if job.job_id not in state.derived.occupancy:
        return START
    match job.overlap_policy:
        case OverlapPolicy.SKIP:
            return _skip(state, job, nominal_time) or _wait(state, job, nominal_time, now)
        case OverlapPolicy.BUFFER_ONE | OverlapPolicy.BUFFER_ALL | OverlapPolicy.ALLOW_ALL:
            return _skip_beyond_limit(state, job, nominal_time) or _wait(state, job, nominal_time, now)
        case OverlapPolicy.CANCEL_OTHER | OverlapPolicy.TERMINATE_OTHER:
            return _replace(state, job, nominal_time, now) or _wait(state, job, nominal_time, now)
        case _:
            assert_never(job.overlap_policy)


def stop_others(
    state: OwnerState, job: JobSpec, nominal_time: datetime, grace: timedelta, reason: str, now: datetime
) -> list[Effect]:
    """Tell the runs of `job` to stop whose place an occurrence takes, as `cancel_each`; those that wait are cancelled
    at once.
    """
    runs = sorted(_replaced(state, job.job_id, nominal_time, now), key=lambda each: each.run_id)
    return cancel_each(state, runs, grace, reason, now)


def let_go(state: OwnerState, now: datetime) -> list[Effect]:
    """Runs that were held back, in the order in which they were due, as far as others have made room.

    Those that were asked to run again go behind them. What catches up goes last, unless its job keeps the order.
    """
    effects: list[Effect] = []
    freed, state.step.freed = state.step.freed, set()
    for job_id in sorted(freed & state.derived.occupancy.keys()):
        state.at_work = job_id
        job = state.durable.jobs[OwnerId(job_id)].spec
        in_order = job.overlap_policy in _IN_ORDER
        for run_id in state.derived.occupancy[job_id].first_held(_room(state, job, now), in_order=in_order):
            if state.transaction.is_full:
                state.step.freed.add(job_id)
                break
            effects += _release(state, state.durable.runs[run_id], now)
            state.transaction.take(effects=1)
    return effects


def _skip(state: OwnerState, job: JobSpec, nominal_time: datetime) -> Skip | None:
    occupancy = state.derived.occupancy[job.job_id]
    run_id = occupancy.first_open_before(nominal_time)
    if run_id is None or occupancy.open_before(nominal_time) < (_at_a_time(job) or 1):
        return None
    found = state.durable.runs[run_id].state
    return Skip(reason=f"overlap: {run_id} {_DOES.get(found) or f'is {found.value}'}")


def _skip_beyond_limit(state: OwnerState, job: JobSpec, nominal_time: datetime) -> Skip | None:
    limit = 1 if job.overlap_policy is OverlapPolicy.BUFFER_ONE else job.buffer_limit
    waiting = state.derived.occupancy[job.job_id].held_before(nominal_time)
    return Skip(reason=f"overlap: {waiting} of at most {limit} wait already") if waiting >= limit else None


def _replace(state: OwnerState, job: JobSpec, nominal_time: datetime, now: datetime) -> Replace | None:
    if next(_replaced(state, job.job_id, nominal_time, now), None) is None:
        return None
    grace = job.cancel_grace if job.overlap_policy is OverlapPolicy.CANCEL_OTHER else AT_ONCE
    return Replace(grace=grace, catches_up=_has_come_since(state, job, nominal_time, now))


def _replaced(state: OwnerState, job_id: str, nominal_time: datetime, now: datetime) -> Iterator[Run]:
    """What was open at that time, but not what waits to catch up: it has its turn when nothing else is there."""
    for run in _open_runs(state, job_id, now):
        entry = entry_of(run)
        if entry and entry.since <= nominal_time and entry.place is not Place.HELD_BEHIND:
            yield run


def _wait(state: OwnerState, job: JobSpec, nominal_time: datetime, now: datetime) -> Verdict:
    """Unless there is room; behind those that wait already, so that their order is kept."""
    limit = _at_a_time(job)
    if state.held_count(job.job_id) == 0 and _room(state, job, now):
        return START
    reason = f"waits until fewer than {limit} are open" if limit != 1 else "waits for the run before it"
    return Hold(reason=f"overlap: {reason}", catches_up=_has_come_since(state, job, nominal_time, now))


def _has_come_since(state: OwnerState, job: JobSpec, nominal_time: datetime, now: datetime) -> bool:
    return state.derived.occupancy[job.job_id].has_come_since(nominal_time, now)


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
