"""Backfills: runs of past occurrences, planned once and released a few at a time after all live work (decision 11)."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from schemas.backfill import MAX_ACTIVE_RUNS, MAX_OCCURRENCES, Backfill
from schemas.ids import OwnerId, occurrence_run_id
from schemas.job import JobSpec
from schemas.reasons import ReasonCode
from schemas.request import Request
from schemas.times import MILLISECOND, rfc3339, run_id_time
from schemas.words import RunKind, RunState
from streams.core.definitions.covered import cover, pause_refusal
from streams.core.effects import Effect, PublishStatus, PutBackfill
from streams.core.policy.catchup import MICROSECOND, within_life
from streams.core.policy.intervals import Interval
from streams.core.reason import Reason
from streams.core.requests.open_backfills import OpenBackfill
from streams.core.runs.cancel import AT_ONCE, cancel_run, stop_backfill
from streams.core.runs.life import (
    NewRun,
    blank_status,
    class_of_new_run,
    enter_queue,
    move_to_queued,
    store_and_publish,
)
from streams.core.runs.run import Lane, Run, reason_of, transition_to, why_stopped
from streams.core.schedule.occurrences import count_between, latest
from streams.core.schedule.timers import timer_of
from streams.core.state import OwnerState
from streams.core.stored import StoredBackfill, StoredJob

MAX_OPEN = 100_000
"""Limit of occurrences of all open backfills of a partition, and of open nodes of one backfill; both are in memory."""
AT_A_TIME = 1_000
"""How many runs of one backfill one step plans or cancels."""
CLOCKS_DIFFER = timedelta(minutes=1)
"""How far the clock of Postgres may be ahead; a backfill that ends that little later than now waits for its end."""


def occurrences(job: JobSpec, asked: Backfill, beyond: datetime | None, limit: int) -> list[datetime]:
    """The next `limit` occurrences, in the order in which they run; `beyond` is where an earlier call stopped."""
    timer = timer_of(job)
    after, until = within_life(job, asked.backfill_from - MICROSECOND, asked.backfill_to - MICROSECOND)
    if not asked.run_backwards:
        return timer.between(max(after, beyond or after), until, limit)
    until = min(until, beyond - MICROSECOND) if beyond else until
    found: list[datetime] = []
    while len(found) < limit and (last := latest(timer.schedule, timer.zone, timer.dst, after, until, timer.phase)):
        found.append(last)
        until = last - MICROSECOND
    return found


def attempts_had(asked: Backfill, nominal_time: datetime) -> int | None:
    """How many attempts the occurrence had before this backfill; None: the backfill leaves it alone."""
    return asked.ran.get(run_id_time(nominal_time), 0)


def accept(state: OwnerState, request: Request, asked: Backfill, now: datetime) -> list[Effect]:
    """A backfill is itself a run, without a process. Its status shows the progress, refusals and dry runs."""
    stored_job = state.durable.jobs[OwnerId(request.job_id)]
    job = stored_job.spec
    new = NewRun(
        run_id=request.key,
        kind=RunKind.BACKFILL,
        nominal_time=request.created_at,
        scheduled_time=request.created_at,
        request_id=request.request_id,
    )
    status = blank_status(job, new, queued_at=now)
    refusal, total = _refusal(stored_job, asked, now), 0
    if refusal is None:
        total = _count(job, asked)
        refusal = _too_many(state, total) or _too_many_intervals(state, job, asked)
    answer = Reason(ReasonCode.BACKFILL_REFUSED, f"refused: {refusal}") if refusal else None
    answer = _dry(state, job, asked) if answer is None and asked.dry_run else answer
    if answer:
        status = transition_to(status, RunState.SKIPPED, version=state.next_token(), at=now, reason=answer)
        return [PublishStatus(status=status)]
    text = f"{_what(asked)}: {total} occurrences" + (f": {request.note}" if request.note else "")
    reason = Reason(ReasonCode.BACKFILL, text)
    status = transition_to(status, RunState.QUEUED, version=state.next_token(), at=now, reason=reason)
    stored = StoredBackfill(request_id=request.request_id, job_id=request.job_id, asked=asked, total=total)
    state.derived.backfills.add(OpenBackfill(stored=stored))
    return [
        *store_and_publish(state, Run(status=status, due_at=now, lane=Lane.BACKFILL)),
        PutBackfill(run_id=request.key, backfill=stored),
    ]


def advance_backfills(state: OwnerState, now: datetime) -> list[Effect]:
    """Plan unplanned runs and cancel those of stopped backfills, in the room that live work leaves."""
    effects: list[Effect] = []
    backfills = state.derived.backfills
    state.step.more_of_backfills = False
    for backfill in list(backfills.by_run.values()):
        state.current_job = backfill.stored.job_id
        room = min(AT_A_TIME, state.transaction.effects_limit_of_runs() - state.transaction.effects)
        room = 0 if state.transaction.is_full else room
        before = len(effects)
        if _parent(state, backfill).state is RunState.CANCELLING:
            effects += _cancel_held(state, backfill, max(0, room), now)
        elif (
            not backfill.stored.is_planned
            and backfill.stored.asked.backfill_to - MICROSECOND <= state.durable.watermark
        ):
            effects += _plan(state, backfill, room, now) if room > 0 else []
            state.step.more_of_backfills |= not backfill.stored.is_planned
        state.transaction.spend(effects=len(effects) - before)
    return effects


def settle_backfills(state: OwnerState, now: datetime) -> list[Effect]:
    """Count ended runs, release the next ones, and end finished backfills."""
    backfills = state.derived.backfills
    if not (state.step.backfill_ends or state.step.touched_backfills):
        return []
    effects: list[Effect] = []
    for run in state.step.backfill_ends:
        state.current_job = run.status.job_id
        assert run.backfill_id, f"{run.run_id} belongs to no backfill"
        _count_end(backfills.by_run[run.backfill_id], run)
        state.step.touched_backfills.add(run.backfill_id)
    state.step.backfill_ends.clear()
    for run_id in sorted(state.step.touched_backfills):
        backfill = backfills.by_run[run_id]
        state.current_job = backfill.stored.job_id
        backfill.note_ran()
        effects += _release_runs(state, backfill, now)
        effects += _end(state, backfill, now) if _is_over(backfill) else []
        is_open = run_id in backfills.by_run
        effects.append(PutBackfill(run_id=run_id, backfill=backfill.stored if is_open else None))
    state.step.touched_backfills.clear()
    return effects


def _refusal(stored: StoredJob, asked: Backfill, now: datetime) -> str | None:
    job, begin, end = stored.spec, asked.backfill_from, asked.backfill_to
    if job.schedule is None:
        is_a = "job" if stored.dag is None else "DAG"
        return f"{is_a} {job.job_id!r} has no schedule, so nothing was ever due"
    if begin >= end:
        return f"backfill_to {rfc3339(end)} is not later than backfill_from {rfc3339(begin)}"
    if end > now + CLOCKS_DIFFER:
        return f"backfill_to {rfc3339(end)} is later than now; what is not due yet runs by itself"
    try:
        timer_of(job)
    except Exception as error:  # noqa: BLE001 - the job is quarantined for the same reason (protocol I7)
        return f"its schedule cannot be followed: {error}"
    return _too_many_at_a_time(stored, asked.max_active_runs)


def _too_many_at_a_time(stored: StoredJob, most: int) -> str | None:
    if not 1 <= most <= MAX_ACTIVE_RUNS:
        return f"max_active_runs is {most}; allowed are numbers from 1 to {MAX_ACTIVE_RUNS}"
    nodes = len(stored.dag.nodes) if stored.dag else 0
    if most * nodes > MAX_OPEN:
        return (
            f"max_active_runs is {most}: of a DAG with {nodes} nodes, {most * nodes} could be open at a time; "
            f"allowed are {MAX_OPEN}"
        )
    return None


def _count(job: JobSpec, asked: Backfill) -> int:
    """Counts up to one more than `MAX_OCCURRENCES`."""
    timer = timer_of(job)
    after, until = within_life(job, asked.backfill_from - MICROSECOND, asked.backfill_to - MICROSECOND)
    return count_between(timer.schedule, timer.zone, timer.dst, after, until, MAX_OCCURRENCES + 1, timer.phase)


def _too_many(state: OwnerState, total: int) -> str | None:
    if total > MAX_OCCURRENCES:
        return (
            f"it has more than {MAX_OCCURRENCES} occurrences; ask for several backfills, "
            "each beginning where the one before ends"
        )
    others = sum(each.stored.total for each in state.derived.backfills.by_run.values())
    if others + total > MAX_OPEN:
        return (
            f"the backfills that are open beside it have {others} occurrences, it would have {total}, "
            f"and at most {MAX_OPEN} are allowed; wait until some have ended, or cancel one"
        )
    return None


def _too_many_intervals(state: OwnerState, job: JobSpec, asked: Backfill) -> str | None:
    planned = len(state.derived.backfills.unplanned_of(job.job_id))
    return pause_refusal(state, OwnerId(job.job_id), asked.backfill_to, planned)


def _dry(state: OwnerState, job: JobSpec, asked: Backfill) -> Reason:
    found = occurrences(job, asked, None, MAX_OCCURRENCES)
    state.transaction.spend(searched=len(found))
    wanted = [each for each in found if attempts_had(asked, each) is not None]
    between = f", from {rfc3339(wanted[0])} to {rfc3339(wanted[-1])}" if wanted else ""
    left = len(found) - len(wanted)
    text = f"dry run: {_what(asked)}: {len(wanted)} of {len(found)} would run{between}; {left} are left alone"
    return Reason(ReasonCode.DRY_RUN, text)


def _what(asked: Backfill) -> str:
    return f"[{rfc3339(asked.backfill_from)}, {rfc3339(asked.backfill_to)})"


def _plan(state: OwnerState, backfill: OpenBackfill, room: int, now: datetime) -> list[Effect]:
    backfill.note_ran()
    stored = backfill.stored
    job = state.durable.jobs[OwnerId(stored.job_id)].spec
    state.step.touched_backfills.add(stored.run_id)
    try:
        found = occurrences(job, stored.asked, stored.planned_through, room)
    except Exception as error:  # noqa: BLE001 - the new schedule cannot be followed (protocol I7)
        reason = Reason(ReasonCode.INVALID_SCHEDULE, f"stopped: {error}")
        return stop_backfill(state, _parent(state, backfill), reason, now)
    state.transaction.spend(searched=len(found))
    effects: list[Effect] = []
    for nominal_time in found:
        effects += _hold(state, backfill, job, nominal_time, now)
    is_planned = len(found) < room
    planned_part = _planned_part(stored, found[-1] if found else None, is_planned=is_planned)
    backfill.stored = msgspec.structs.replace(
        stored,
        planned_through=found[-1] if found else stored.planned_through,
        is_planned=is_planned,
        runs=stored.runs + len(effects),
        left=stored.left + len(found) - len(effects),
        asked=msgspec.structs.replace(stored.asked, ran={}) if is_planned else stored.asked,
    )
    effects += cover(state, OwnerId(stored.job_id), *planned_part)
    return effects + _start(state, backfill, now) if is_planned else effects


def _planned_part(stored: StoredBackfill, last: datetime | None, *, is_planned: bool) -> Interval:
    """The interval that was planned since `stored`, up to the occurrence `last`."""
    asked, before = stored.asked, stored.planned_through
    if asked.run_backwards:
        return (last if last and not is_planned else asked.backfill_from), before or asked.backfill_to
    begin = before + MILLISECOND if before else asked.backfill_from  # stored times have no microseconds
    return begin, (last + MILLISECOND if last and not is_planned else asked.backfill_to)


def _hold(
    state: OwnerState, backfill: OpenBackfill, job: JobSpec, nominal_time: datetime, now: datetime
) -> list[Effect]:
    """Create the held run of an occurrence, unless it is open or left alone. Its history starts anew (decision 7)."""
    run_id = occurrence_run_id(job.job_id, nominal_time)
    attempts = attempts_had(backfill.stored.asked, nominal_time)
    if run_id in state.durable.runs or attempts is None:
        return []
    request_id = backfill.stored.request_id
    new = NewRun(
        run_id=run_id,
        kind=state.kind_of(job.job_id, RunKind.BACKFILLED),
        nominal_time=nominal_time,
        scheduled_time=nominal_time,
        request_id=request_id,
        rerun_id=request_id,
        attempts=attempts,
    )
    timeout_class, learned = class_of_new_run(state, job, new.kind)
    status = blank_status(job, new, queued_at=now, timeout_class=timeout_class)
    status = move_to_queued(state, status, now, learned, Reason(ReasonCode.BACKFILL, f"backfill {request_id}"))
    backfill.held.append(run_id)
    return store_and_publish(state, Run(status=status, due_at=now, lane=Lane.BACKFILL))


def _start(state: OwnerState, backfill: OpenBackfill, now: datetime) -> list[Effect]:
    parent, stored = _parent(state, backfill), backfill.stored
    reason = Reason(ReasonCode.BACKFILL, f"{stored.runs} runs, {stored.left} occurrences are left alone")
    status = transition_to(parent.status, RunState.RUNNING, version=state.next_token(), at=now, reason=reason)
    return store_and_publish(state, msgspec.structs.replace(parent, status=status))


def _release_runs(state: OwnerState, backfill: OpenBackfill, now: datetime) -> list[Effect]:
    if _parent(state, backfill).state is RunState.CANCELLING:
        return []
    effects: list[Effect] = []
    while backfill.held and len(backfill.active) < backfill.stored.asked.max_active_runs:
        run = _held(state, backfill)
        if run is None:
            continue
        backfill.active.add(run.run_id)
        if run.status.kind is RunKind.DAG:
            state.derived.epochs.due.append(run.run_id)
        else:
            effects += enter_queue(state, run, now)
    return effects


def _cancel_held(state: OwnerState, backfill: OpenBackfill, room: int, now: datetime) -> list[Effect]:
    reason = why_stopped(_parent(state, backfill).status)
    effects: list[Effect] = []
    while backfill.held and len(effects) < room:
        run = _held(state, backfill)
        effects += cancel_run(state, run, AT_ONCE, reason, now) if run else []
    state.step.more_of_backfills |= bool(backfill.held)
    return effects


def _held(state: OwnerState, backfill: OpenBackfill) -> Run | None:
    """The next held run; None if it was stopped or run again on its own."""
    run = state.durable.runs.get(backfill.held.popleft())
    is_its_own = run is not None and run.status.rerun_id == backfill.stored.request_id and not run.has_started
    return run if is_its_own else None


def _count_end(backfill: OpenBackfill, run: Run) -> None:
    backfill.active.discard(run.run_id)
    stored = backfill.stored
    backfill.stored = msgspec.structs.replace(
        stored, ended=stored.ended + 1, unsuccessful=stored.unsuccessful + (run.state is not RunState.SUCCEEDED)
    )


def _is_over(backfill: OpenBackfill) -> bool:
    return backfill.stored.is_planned and backfill.stored.ended == backfill.stored.runs


def _end(state: OwnerState, backfill: OpenBackfill, now: datetime) -> list[Effect]:
    parent, stored = _parent(state, backfill), backfill.stored
    if parent.state is RunState.CANCELLING:
        to, reason = RunState.CANCELLED, reason_of(parent.status)
    elif stored.unsuccessful:
        text = f"{stored.unsuccessful} of {stored.runs} runs did not succeed"
        to, reason = RunState.FAILED, Reason(ReasonCode.BACKFILL_FAILED, text)
    elif stored.runs:
        to, reason = RunState.SUCCEEDED, Reason(ReasonCode.BACKFILL, f"all {stored.runs} runs succeeded")
    else:
        text = f"nothing to run: {stored.left} occurrences are left alone"
        to, reason = RunState.SUCCEEDED, Reason(ReasonCode.BACKFILL, text)
    status = transition_to(parent.status, to, version=state.next_token(), at=now, reason=reason)
    del state.derived.backfills.by_run[stored.run_id]
    return store_and_publish(state, msgspec.structs.replace(parent, status=status))


def _parent(state: OwnerState, backfill: OpenBackfill) -> Run:
    return state.durable.runs[backfill.stored.run_id]
