"""Carry out a request by its kind: run, cancel, terminate, rerun, mark, backfill; or refuse it with a sentence."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from schemas.ids import RunId, request_of_run
from schemas.reasons import ReasonCode
from schemas.request import Request
from schemas.words import RequestKind, RunKind
from streams.core.dag.rerun import mark, rerun_nodes
from streams.core.definitions.covered import cover_one, pause_refusal
from streams.core.effects import Effect, Origin
from streams.core.reason import Reason
from streams.core.requests.backfill import accept
from streams.core.requests.refusal import refuse
from streams.core.runs.attempt_now import attempt_now, waiting_run
from streams.core.runs.cancel import AT_ONCE, cancel_all, cancel_run
from streams.core.runs.life import NewRun, create_run
from streams.core.runs.specs import spec_of
from streams.core.state import OwnerState
from streams.core.stored import StoredJob

_NAMES_JOB_OR_DAG = frozenset({RequestKind.RUN, RequestKind.BACKFILL})
"""Requests of these kinds must name the right one, a job or a DAG."""


def carry_out(
    state: OwnerState, request: Request, job: StoredJob | None, now: datetime, origin: Origin
) -> list[Effect]:
    """`job` is the definition; None: it did not arrive in time."""
    quarantine = state.durable.quarantined.get(request.owner)
    if quarantine:
        return refuse(request, quarantine.reason, origin)
    match request.kind:
        case RequestKind.RUN:
            return _refused(state, request, job, origin) or _run(state, request, now)
        case RequestKind.CANCEL | RequestKind.TERMINATE:
            return _stop(state, request, job, now, origin)
        case RequestKind.BACKFILL:
            return _refused(state, request, job, origin) or _backfill(state, request, now, origin)
        case RequestKind.RERUN:
            return _refused(state, request, job, origin) or _rerun(state, request, now, origin)
        case RequestKind.MARK:
            return _refused(state, request, job, origin) or _mark(state, request, now, origin)
        case _:
            assert_never(request.kind)


def _refused(state: OwnerState, request: Request, job: StoredJob | None, origin: Origin) -> list[Effect]:
    if job is None:
        limit = state.settings.park_limit
        return refuse(request, f"{_what(request)} does not exist, and none was defined within {limit}", origin)
    if job.deleted:
        return refuse(request, f"{_what(request)} was deleted", origin)
    if (request.dag_id is None) is (job.dag is None) or request.kind not in _NAMES_JOB_OR_DAG:
        return []
    is_a, column = ("job", "job_id") if job.dag is None else ("DAG", "dag_id")
    named = "job_id" if request.dag_id is None else "dag_id"
    return refuse(request, f'{named} is "{request.job_id}": it is a {is_a}; name it in {column}', origin)


def _what(request: Request) -> str:
    return f"{'job' if request.dag_id is None else 'DAG'} {request.job_id!r}"


def _run(state: OwnerState, request: Request, now: datetime) -> list[Effect]:
    run_id = request.key
    if run_id in state.durable.runs:  # a rerun of the same run was applied first
        return []
    at = max(request.run_at, request.created_at) if request.run_at else min(request.created_at, now)
    new = NewRun(
        run_id=run_id,
        kind=state.kind_of(request.job_id, RunKind.REQUESTED),
        nominal_time=at,
        scheduled_time=at,
        request_id=request.request_id,
        payload=request.payload,
        traceparent=request.traceparent,
    )
    return create_run(state, state.durable.jobs[request.owner].spec, new, now)


def _stop(state: OwnerState, request: Request, job: StoredJob | None, now: datetime, origin: Origin) -> list[Effect]:
    """Cancel or terminate one run, or all runs of a job; a deleted job may still have open runs."""
    if job is None:
        return _refused(state, request, job, origin)
    is_soft = request.kind is RequestKind.CANCEL
    done = "cancelled" if is_soft else "terminated"
    code = ReasonCode.CANCELLED_BY_REQUEST if is_soft else ReasonCode.TERMINATED_BY_REQUEST
    reason = Reason(code, f"{done}: {request.note}" if request.note else f"{done} by request {request.request_id}")
    if request.run_id is None:
        return cancel_all(state, request.job_id, job.spec.cancel_grace if is_soft else AT_ONCE, reason, now)
    run = state.durable.runs.get(request.run_id)
    if run is None:
        return refuse(request, f"run {request.run_id!r} is not open: it has ended, or never was", origin)
    return cancel_run(state, run, spec_of(state, run).cancel_grace if is_soft else AT_ONCE, reason, now)


def _rerun(state: OwnerState, request: Request, now: datetime, origin: Origin) -> list[Effect]:
    """The run's history starts anew; attempt numbers and fencing tokens continue to grow (protocol L5)."""
    waiting = waiting_run(state, request)
    if waiting:
        return attempt_now(state, waiting, request, now)
    if state.durable.jobs[request.owner].dag is not None:
        return rerun_nodes(state, request, now, origin)
    if request.run_id is None:
        return refuse(request, "a rerun needs run_id", origin)
    refusal = _rerun_refusal(state, request, request.run_id)
    if refusal or request.nominal_time is None:
        refusal = refusal or f"run {request.run_id!r} is not open any more, and no nominal_time is given; ask again"
        return refuse(request, refusal, origin)
    asked_for = request_of_run(request.run_id)
    new = NewRun(
        run_id=request.run_id,
        kind=RunKind.REQUESTED if asked_for else RunKind.SCHEDULED,
        nominal_time=request.nominal_time,
        scheduled_time=max(request.run_at or request.nominal_time, request.nominal_time),
        request_id=asked_for,
        payload=request.payload,
        rerun_id=request.request_id,
        traceparent=request.traceparent,
        attempts=request.attempt,
    )
    text = f"run again: {request.note}" if request.note else f"run again by request {request.request_id}"
    reason = Reason(ReasonCode.RERUN_BY_REQUEST, text)
    effects = create_run(state, state.durable.jobs[request.owner].spec, new, now, reason)
    return effects if asked_for else effects + cover_one(state, request.owner, request.nominal_time)


def _rerun_refusal(state: OwnerState, request: Request, run_id: RunId) -> str | None:
    nominal_time, run = request.nominal_time, state.durable.runs.get(run_id)
    if request.downstream:
        return f"{run_id!r} is no run of a DAG: nothing depends on it"
    if run is not None:
        return f"run {run_id!r} is {run.state.value}; only what has ended or waits for its next attempt can run again"
    if nominal_time is None or request_of_run(run_id) is not None:
        return None
    if nominal_time > state.durable.watermark:
        return f"run {run_id!r} is not due yet"
    return pause_refusal(state, request.owner, nominal_time)


def _mark(state: OwnerState, request: Request, now: datetime, origin: Origin) -> list[Effect]:
    if state.durable.jobs[request.owner].dag is None:
        return refuse(request, f"{request.run_id!r} is no run of a DAG: it has no nodes", origin)
    return mark(state, request, now, origin)


def _backfill(state: OwnerState, request: Request, now: datetime, origin: Origin) -> list[Effect]:
    if request.backfill is None:
        return refuse(request, "a backfill needs backfill_from and backfill_to", origin)
    return accept(state, request, request.backfill, now)
