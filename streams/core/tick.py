"""The tick: decide all occurrences in (watermark, now], in a fixed order, transaction by transaction (protocol O6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import assert_never

import msgspec

from schemas.ids import OwnerId, missed_range_id, occurrence_run_id
from schemas.job import JobSpec
from schemas.reasons import ProblemCode, ReasonCode
from schemas.words import RunKind, RunState
from streams.core.effects import Effect, PublishStatus, ReportProblem
from streams.core.policy.catchup import (
    MICROSECOND,
    CatchupDecision,
    Change,
    NewVersion,
    NotRun,
    OldVersion,
    RunOccurrence,
    decide,
    decide_change,
)
from streams.core.policy.overlap import Hold, Replace, Skip, Start
from streams.core.reason import Reason
from streams.core.room import MICROSECONDS_OF_A_CHECK
from streams.core.runs.life import NewRun, blank_status, create_run
from streams.core.runs.overlapping import grace_of, on_overlap, stop_others
from streams.core.runs.run import Lane, transition_to
from streams.core.runs.tally import count_made, finish, reason_to_refuse, tally_of
from streams.core.schedule.jitter import scheduled_time
from streams.core.schedule.timers import Timer, timer_of
from streams.core.state import OwnerState
from streams.core.stored import Cursor

EFFECTS_OF_AN_OCCURRENCE = 4
"""Its run, the count of runs that its job has made, and the end of a run that it replaces with its kill order."""


def advance_clock(state: OwnerState, now: datetime) -> list[Effect]:
    """Decide due occurrences while the transaction has room for them and for their dispatches.

    `state.durable.cursor` marks where a cut tick stopped. The tick then continues with its original `now`, and
    definitions wait for its end.
    """
    tick_time = state.durable.cursor.now if state.durable.cursor else now
    if tick_time < state.durable.watermark:
        return []
    effects: list[Effect] = []
    due = state.derived.timers.take_due(tick_time)
    effects_limit = state.transaction.effects_limit_of_runs()
    for index, timer in enumerate(due):
        stopped_at = _decide_timer(state, timer, tick_time, effects, effects_limit)
        if stopped_at:
            state.durable.cursor = stopped_at
            state.derived.timers.keep_due(due[index:])
            return effects
        state.derived.timers.advance(timer, tick_time)
        state.transaction.spend(searched=timer.take_searched())
    state.durable.cursor = None
    state.durable.watermark = tick_time
    return effects


def decide_job(
    state: OwnerState, owner: OwnerId, after: datetime, until: datetime, now: datetime, change: Change
) -> tuple[list[Effect], datetime | None]:
    """Decide one job's occurrences in (after, until] before the tick, because its definition changes (protocol O7).

    If not all effects fit a transaction, the second value is the time up to which occurrences are decided.
    """
    stored = state.durable.jobs[owner]
    if after >= until or stored.deleted or stored.spec.schedule is None or owner in state.derived.unscheduled:
        return [], None
    effects: list[Effect] = []
    state.transaction.is_for_one = isinstance(change, NewVersion)
    try:
        timer = timer_of(stored.spec)
        for decision in decide_change(stored, timer, after, until, now, state.settings, change):
            decided = _apply_decision(state, stored.spec, timer, decision, now)
            state.transaction.spend(effects=len(decided), searched=timer.take_searched())
            effects += decided
            if state.step.is_cut:
                return effects, _first_time(decision) - MICROSECOND
            if state.transaction.is_full and isinstance(change, OldVersion):
                return effects, _last_time(decision)
    except Exception as error:  # noqa: BLE001 - as in the tick (protocol I7)
        effects += _quarantine(state, owner, error)
    finally:
        state.transaction.is_for_one = False
    return effects, None


def _decide_timer(
    state: OwnerState, timer: Timer, now: datetime, effects: list[Effect], effects_limit: int
) -> Cursor | None:
    """Returns where it stopped; None: the timer is decided up to `now`."""
    room = state.transaction
    resumed = state.durable.cursor if state.durable.cursor and state.durable.cursor.timer_key == timer.key else None
    for job_id in timer.from_member(resumed.job_id if resumed else ""):
        through = resumed.decided_through if resumed and resumed.job_id == job_id else state.durable.watermark
        try:
            if room.is_full or room.effects >= effects_limit:
                return Cursor(now=now, timer_key=timer.key, job_id=job_id, decided_through=through)
            room.spend(work_us=MICROSECONDS_OF_A_CHECK)
            for nominal in _decide_member(state, timer, OwnerId(job_id), through, now, effects):
                if room.is_full or room.effects >= effects_limit:
                    return Cursor(now=now, timer_key=timer.key, job_id=job_id, decided_through=nominal)
        except Exception as error:  # noqa: BLE001 - one job's defect must not stop the clock of all (protocol I7)
            effects += _quarantine(state, job_id, error)
    return None


def _decide_member(
    state: OwnerState, timer: Timer, owner: OwnerId, through: datetime, now: datetime, effects: list[Effect]
) -> Iterator[datetime]:
    """Yields, after each decision, the time up to which the job is decided."""
    stored = state.durable.jobs[owner]
    for decision in decide(stored.spec, timer, max(stored.since, through), now, now, state.settings):
        decided = _apply_decision(state, stored.spec, timer, decision, now)
        state.transaction.spend(effects=len(decided), searched=timer.take_searched())
        effects += decided
        if state.step.is_cut:
            state.step.is_cut = False
            yield _first_time(decision) - MICROSECOND
            return
        yield _last_time(decision)


def _apply_decision(
    state: OwnerState, job: JobSpec, timer: Timer, decision: CatchupDecision, now: datetime
) -> list[Effect]:
    match decision:
        case RunOccurrence():
            return _run_or_skip(state, job, timer, decision, now)
        case NotRun():
            return [record_not_run(state, job, decision, now)]
        case _:
            assert_never(decision)


def _occurrence(job: JobSpec, timer: Timer, due: RunOccurrence, kind: RunKind) -> NewRun:
    nominal = due.nominal_time
    following = timer.next_after(nominal) if job.jitter else None
    at = scheduled_time(job.job_id, nominal, job.jitter, following)
    return NewRun(
        run_id=occurrence_run_id(job.job_id, nominal),
        kind=kind,
        nominal_time=nominal,
        scheduled_time=at,
        lane=Lane.CATCH_UP if due.is_late else Lane.LIVE,
        start_by=at + job.start_deadline if job.start_deadline else None,
    )


def _run_or_skip(state: OwnerState, job: JobSpec, timer: Timer, due: RunOccurrence, now: datetime) -> list[Effect]:
    new = _occurrence(job, timer, due, state.kind_of(job.job_id, RunKind.SCHEDULED))
    # A backfill may already have made a run for an occurrence of a pause.
    if tally_of(state, job.job_id).is_finished or new.run_id in state.durable.runs:
        return []
    refusal = reason_to_refuse(state, job)
    decision = Skip(reason=refusal) if refusal else on_overlap(state, job, new.nominal_time, now)
    match decision:
        case Start():
            return count_made(state, job) + create_run(state, job, new, now)
        case Skip(reason=reason, blocked_by=blocked_by):
            skipped = transition_to(
                blank_status(job, new), RunState.SKIPPED, version=state.next_token(), at=now, reason=reason
            )
            skipped = msgspec.structs.replace(skipped, blocked_by=blocked_by)
            return [PublishStatus(status=skipped), *finish(state, job)]
        case Hold(reason=reason, catches_up=catches_up):
            return _hold(state, job, new, reason, now, catches_up=catches_up)
        case Replace():
            return _replace(state, job, new, decision, now)
        case _:
            assert_never(decision)


def _replace(state: OwnerState, job: JobSpec, new: NewRun, decision: Replace, now: datetime) -> list[Effect]:
    """If not all stops fit the transaction, the occurrence is decided again after them."""
    grace, why = grace_of(job, decision), Reason(ReasonCode.OVERLAP_REPLACED, f"{new.run_id} takes its place")
    stopped = stop_others(state, job, new.nominal_time, grace, why, now)
    if state.step.is_cut:
        return stopped
    reason = Reason(ReasonCode.OVERLAP_WAITING, "waits until the runs before it are gone")
    return stopped + _hold(state, job, new, reason, now, catches_up=decision.catches_up)


def _hold(
    state: OwnerState, job: JobSpec, new: NewRun, reason: Reason, now: datetime, *, catches_up: bool
) -> list[Effect]:
    """The run is queued but held until other runs end. If they have ended already, `release_held` releases it now."""
    state.step.freed.add(job.job_id)
    held = msgspec.structs.replace(new, held=True, lane=Lane.CATCH_UP if catches_up else new.lane)
    return count_made(state, job) + create_run(state, job, held, now, reason)


def record_not_run(state: OwnerState, job: JobSpec, decision: NotRun, now: datetime) -> PublishStatus:
    missed = decision.missed
    new = NewRun(
        run_id=missed_range_id(job.job_id, missed.first, missed.last),
        kind=state.kind_of(job.job_id, RunKind.SCHEDULED),
        nominal_time=missed.first,
        scheduled_time=missed.first,
    )
    status = transition_to(
        blank_status(job, new), decision.state, version=state.next_token(), at=now, reason=decision.reason
    )
    return PublishStatus(status=msgspec.structs.replace(status, missed=missed))


def _quarantine(state: OwnerState, job_id: str, error: Exception) -> list[Effect]:
    state.derived.unscheduled.add(job_id)
    state.derived.timers.remove(job_id)
    text = f"job {job_id!r} is quarantined until its definition changes: {type(error).__name__}: {error}"
    return [ReportProblem(code=ProblemCode.QUARANTINED, reason=text, owner=job_id)]


def _first_time(decision: CatchupDecision) -> datetime:
    match decision:
        case RunOccurrence(nominal_time=nominal):
            return nominal
        case NotRun(missed=missed):
            return missed.first
        case _:
            assert_never(decision)


def _last_time(decision: CatchupDecision) -> datetime:
    match decision:
        case RunOccurrence(nominal_time=nominal):
            return nominal
        case NotRun(missed=missed):
            return missed.last
        case _:
            assert_never(decision)
