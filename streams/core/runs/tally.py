"""Counts over the runs of a job that policies need: failures in a row, runs made, classes needed."""

from __future__ import annotations

import msgspec

from schemas.classes import TimeoutClass
from schemas.ids import OwnerId
from schemas.job import JobSpec
from schemas.reasons import ProblemCode, ReasonCode
from schemas.words import AttemptEnd, RunKind, RunState
from streams.core.effects import Effect, PutTally, ReportProblem
from streams.core.policy.promotion import class_that_holds, configured_class, may_be_promoted
from streams.core.reason import Reason
from streams.core.runs.run import Lane, Run
from streams.core.settings import CoreSettings
from streams.core.state import OwnerState
from streams.core.stored import Tally

BAD_ENDS = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.DEAD})
NOT_STOPPED = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT})
REMEMBERED = 5
"""How many of the latest runs decide in which class the next run starts."""
MOST = 3
"""How many of these must have needed a longer class than the job's own."""
_NOTHING = Tally()


def tally_of(state: OwnerState, job_id: str) -> Tally:
    return state.durable.tallies.get(job_id, _NOTHING)


def reason_to_refuse(state: OwnerState, job: JobSpec) -> Reason | None:
    """Why the job must make no more runs; None: it may."""
    tally = tally_of(state, job.job_id)
    if job.max_runs is not None and tally.made >= job.max_runs:
        return Reason(ReasonCode.MAX_RUNS, f"all {job.max_runs} runs are made; nothing more is due")
    return Reason(ReasonCode.PAUSED_ON_FAILURE, tally.stopped) if tally.stopped else None


def count_made(state: OwnerState, job: JobSpec) -> list[Effect]:
    """An occurrence has become a run."""
    if job.max_runs is None:
        return []
    tally = tally_of(state, job.job_id)
    return _put(state, job.job_id, msgspec.structs.replace(tally, made=tally.made + 1))


def finish(state: OwnerState, job: JobSpec) -> list[Effect]:
    """If all `max_runs` runs are made, remove the job's timer until its definition changes."""
    tally = tally_of(state, job.job_id)
    if job.max_runs is None or tally.made < job.max_runs:
        return []
    state.derived.timers.remove(job.job_id)
    return _put(state, job.job_id, msgspec.structs.replace(tally, is_finished=True))


def renew(state: OwnerState, job_id: str, *, deleted: bool) -> list[Effect]:
    """Reset failures and `is_finished`, because the definition changed. A deletion resets all counts."""
    tally = state.durable.tallies.get(job_id)
    if tally is None:
        return []
    kept = msgspec.structs.replace(tally, is_finished=False, bad_in_a_row=0, stopped=None)
    return _put(state, job_id, _NOTHING if deleted else kept)


def count_end(state: OwnerState, run: Run) -> list[Effect]:
    """Count an ended run of a job or DAG. Runs of nodes and of backfills do not count."""
    if run.status.node_id is not None:
        return []
    is_a = "job" if run.status.kind is not RunKind.DAG else "dag"
    stored = state.durable.jobs[OwnerId(run.status.job_id)]
    if stored.deleted or run.lane is Lane.BACKFILL:
        return []
    before = tally_of(state, run.status.job_id)
    after = _with_class(_with_end(before, stored.spec, run, is_a), stored.spec, run, state.settings)
    if after == before:
        return []
    effects = _put(state, run.status.job_id, after)
    if after.stopped and not before.stopped:
        status = run.status
        text = f"{is_a} {status.job_id!r} is paused: {after.stopped}; the last is {run.run_id!r}: {status.reason}"
        code = ProblemCode.PAUSED_ON_FAILURE
        effects.append(ReportProblem(code=code, reason=text, owner=status.job_id, run=status))
    return effects


def learned_class(state: OwnerState, job: JobSpec) -> tuple[TimeoutClass, Reason | None]:
    """The class in which a run starts, and the reason if earlier runs decided it."""
    first = configured_class(job, state.settings)
    recent = tally_of(state, job.job_id).needed
    if not recent or not may_be_promoted(job):
        return first, None
    known = [state.settings.class_named(name) for name in recent]
    longer = sorted((each for each in known if each and each.limit > first.limit), key=lambda each: each.limit)
    if len(longer) < MOST:
        return first, None
    text = f"{len(longer)} of the last {len(recent)} runs outlived {first.name}"
    return longer[len(longer) // 2], Reason(ReasonCode.CLASS_LEARNED, text)


def _with_end(tally: Tally, job: JobSpec, run: Run, is_a: str) -> Tally:
    if job.pause_on_failure is None:
        return tally
    if run.state is RunState.SUCCEEDED:
        return msgspec.structs.replace(tally, bad_in_a_row=0)
    if run.state not in BAD_ENDS:
        return tally
    bad = tally.bad_in_a_row + 1
    if bad < job.pause_on_failure or tally.stopped:
        return msgspec.structs.replace(tally, bad_in_a_row=bad)
    what = f"`tidemill {is_a} resume`, or any change, lets it go on"
    stopped = f"{bad} runs in a row ended badly; {what}"
    return msgspec.structs.replace(tally, bad_in_a_row=bad, stopped=stopped)


def _with_class(tally: Tally, job: JobSpec, run: Run, settings: CoreSettings) -> Tally:
    """If every run fitted the job's own class, store nothing."""
    if run.status.kind is RunKind.DAG or run.state not in NOT_STOPPED or not may_be_promoted(job):
        return tally
    first = configured_class(job, settings)
    needed = _needed(run, first, settings)
    if not tally.needed and needed == first.name:
        return tally
    recent = (*tally.needed, needed)[-REMEMBERED:]
    return msgspec.structs.replace(tally, needed=() if set(recent) == {first.name} else recent)


def _needed(run: Run, first: TimeoutClass, settings: CoreSettings) -> str:
    """The class that a run needed: by its duration, or the class of its last attempt if a limit ended one."""
    last = run.status.attempts[-1]
    was_cut = run.state is RunState.TIMED_OUT or any(each.end is AttemptEnd.PROMOTED for each in run.status.attempts)
    if was_cut or last.started_at is None or last.finished_at is None:
        needed = settings.class_named(last.timeout_class) or first
    else:
        needed = class_that_holds(last.finished_at - last.started_at, settings)
    return needed.name if needed.limit > first.limit else first.name


def _put(state: OwnerState, job_id: str, tally: Tally) -> list[Effect]:
    if tally == _NOTHING:
        state.durable.tallies.pop(job_id, None)
        return [PutTally(job_id=job_id, tally=None)]
    state.durable.tallies[job_id] = tally
    return [PutTally(job_id=job_id, tally=tally)]
