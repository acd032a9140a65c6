"""The life of a run: created, queued, dispatched, retried, ended. Read this after `run.py`."""

from __future__ import annotations

from datetime import date, datetime
from typing import assert_never

import msgspec

from schemas.confinement import NOTHING_GIVEN
from schemas.dispatch import Dispatch
from schemas.ids import OwnerId, RunId, owner_of_run
from schemas.job import JobSpec
from schemas.raw import Json, size_of
from schemas.reasons import ProblemCode, ReasonCode
from schemas.result import Result
from schemas.status import Attempt, RunStatus
from schemas.words import AttemptEnd, RunKind, RunState
from streams.core.dag.node_results import record_bytes, why_too_large
from streams.core.effects import Effect, PutRun, ReportProblem, SendDispatch
from streams.core.policy.promotion import configured_class, limit_in
from streams.core.policy.retry import EndRun, NextAttempt, after_attempt
from streams.core.reason import Reason
from streams.core.room import MICROSECONDS_OF_A_CHECK, TransactionRoom
from streams.core.runs.fleet import InFlight
from streams.core.runs.pace import may_start, take_slot, use_rate
from streams.core.runs.ready import ReadyQueue
from streams.core.runs.run import (
    AttemptReport,
    Lane,
    Run,
    change_attempt,
    ended_attempt,
    fold_expired,
    transition_to,
    with_attempt,
)
from streams.core.runs.specs import inputs_of, is_to_stop, spec_of
from streams.core.runs.tally import count_end, learned_class
from streams.core.runs.weight import bytes_of
from streams.core.settings import CoreSettings
from streams.core.state import OwnerState

_OF_DAGS = frozenset({RunKind.DAG, RunKind.NODE})


class NewRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The facts that a run is created from."""

    run_id: RunId
    kind: RunKind
    nominal_time: datetime
    scheduled_time: datetime
    node_id: str | None = None
    request_id: str | None = None
    payload: Json = None
    rerun_id: str | None = None
    traceparent: str | None = None
    attempts: int = 0
    """Attempts that the run had before a request ran it again."""
    lane: Lane = Lane.LIVE
    held: bool = False
    """It waits for other runs of its job to end."""
    start_by: datetime | None = None
    filed_on: date | None = None
    """The day whose weekly partition holds its row in the read model. A node takes it from its DAG run."""


def create_run(
    state: OwnerState, job: JobSpec, new: NewRun, now: datetime, reason: Reason | None = None
) -> list[Effect]:
    """Create a run in state `queued`. `fill_windows` dispatches it once it is due and an executor has room."""
    timeout_class, learned = class_of_new_run(state, job, new.kind)
    status = blank_status(job, new, queued_at=now, timeout_class=timeout_class)
    status = move_to_queued(state, status, now, learned, reason)
    due_at = max(new.scheduled_time, now) if new.rerun_id else new.scheduled_time
    if new.lane is Lane.CATCH_UP and new.node_id is None:
        due_at = max(due_at, take_slot(state, job.job_id, now))
    run = Run(status=status, payload=new.payload, due_at=due_at, lane=new.lane, held=new.held, start_by=new.start_by)
    state.expect_start(run)
    if not run.held:
        state.wait_until(due_at, run.run_id)
    return store_and_publish(state, run)


def move_to_queued(state: OwnerState, status: RunStatus, now: datetime, *reasons: Reason | None) -> RunStatus:
    """One transition per reason. The run shows the last reason."""
    given: list[Reason | None] = [each for each in reasons if each]
    for reason in given or [None]:
        status = transition_to(status, RunState.QUEUED, version=state.next_token(), at=now, reason=reason)
    return status


def class_of_new_run(state: OwnerState, job: JobSpec, kind: RunKind) -> tuple[str | None, Reason | None]:
    """The timeout class of the first attempt, and the reason; a DAG run has no attempts.

    Only jobs start in a class learned from earlier runs.
    """
    if kind is RunKind.DAG:
        return None, None
    if kind is RunKind.NODE:
        return configured_class(job, state.settings).name, None
    timeout_class, learned = learned_class(state, job)
    return timeout_class.name, learned


def blank_status(
    job: JobSpec, new: NewRun, *, queued_at: datetime | None = None, timeout_class: str | None = None
) -> RunStatus:
    """A status before its first transition."""
    return RunStatus(
        run_id=new.run_id,
        job_id=job.job_id,
        tenant=job.tenant,
        kind=new.kind,
        nominal_time=new.nominal_time,
        scheduled_time=new.scheduled_time,
        state=RunState.QUEUED,
        version=0,
        dag_id=job.job_id if new.kind in _OF_DAGS else None,
        node_id=new.node_id,
        request_id=new.request_id,
        rerun_id=new.rerun_id,
        traceparent=new.traceparent,
        attempt=new.attempts,
        queued_at=queued_at,
        timeout_class=timeout_class,
        filed_on=new.filed_on,
    )


def store_and_publish(state: OwnerState, run: Run) -> list[Effect]:
    state.keep(run)
    state.transaction.spend(bytes=bytes_of(run))
    return [PutRun(run=run)]


def release_due(state: OwnerState, now: datetime) -> list[Effect]:
    """Due runs enter the ready queue of their timeout class. Due DAG runs wait for `open_epochs`."""
    effects: list[Effect] = []
    waiting, room = state.derived.waiting, state.transaction
    while not room.is_full and (run_id := waiting.pop_due(now)) is not None:
        room.spend(work_us=MICROSECONDS_OF_A_CHECK)
        run = state.durable.runs[run_id]
        state.current_job = run.status.job_id
        if run.status.kind is RunKind.DAG:
            state.derived.epochs.due.append(run_id)
            continue
        if run.state is RunState.RETRY_WAIT:
            run = msgspec.structs.replace(
                run, status=transition_to(run.status, RunState.QUEUED, version=state.next_token(), at=now)
            )
            effects += store_and_publish(state, run)
            room.spend(effects=1)
        entered = enter_queue(state, run, now)
        room.spend(effects=len(entered))
        effects += entered
    return effects


def enter_queue(state: OwnerState, run: Run, now: datetime) -> list[Effect]:
    """The only way into a ready queue. A dispatch goes to the topic of its class, so the class must be configured.

    If the run's class was removed from the settings, the run moves to the class of a new run, with a reason.
    """
    job = spec_of(state, run)
    if state.settings.class_named(run.status.timeout_class or ""):
        state.make_ready(run, job.confinement)
        return []
    name, learned = class_of_new_run(state, job, run.status.kind)
    text = f"class {run.status.timeout_class} is not configured any more, goes on in {name}"
    status = move_to_queued(state, run.status, now, Reason(ReasonCode.CLASS_REMOVED, text), learned)
    run = msgspec.structs.replace(run, status=msgspec.structs.replace(status, timeout_class=name))
    state.make_ready(run, job.confinement)
    return store_and_publish(state, run)


def demand_anew(state: OwnerState, owner: OwnerId) -> None:
    """The job asks executors for something else now: its ready runs join those with the same demands."""
    for run_id in sorted(state.derived.open_runs.get(owner, ())):
        run = state.durable.runs[run_id]
        queue = state.derived.ready.get(run.status.timeout_class or "")
        if queue is not None and queue.demands(run_id) is not None:
            state.make_ready(run, spec_of(state, run).confinement)
            state.transaction.spend(work_us=MICROSECONDS_OF_A_CHECK)


def fill_windows(state: OwnerState, now: datetime) -> list[Effect]:
    """Dispatch ready runs while the executors' windows for this partition have room (protocol D1), each to an executor
    that can run it (protocol D7).
    """
    effects: list[Effect] = []
    state.step.may_dispatch_more = False
    state.step.catchup_wake = None
    for timeout_class, queue in state.derived.ready.items():
        if queue:
            given = state.seen.fleet.given(timeout_class)
            queue.judge(NOTHING_GIVEN if given is None else given)
            effects += _fill(state, timeout_class, queue, now)
            effects += [] if given is None else _correct(state, queue, now)
    return effects


def _fill(state: OwnerState, timeout_class: str, queue: ReadyQueue, now: datetime) -> list[Effect]:
    effects: list[Effect] = []
    room, fleet = state.transaction, state.seen.fleet
    window = fleet.window(timeout_class)
    window = state.settings.probe_window if window is None else window
    free = window - fleet.unfinished(timeout_class)
    while (head := queue.head()) and free > 0 and _has_room(room):
        lane, run_id = head
        if not may_start(state, lane, now):
            break
        queue.drop(run_id)
        state.current_job = owner_of_run(run_id)
        run = state.durable.runs[run_id]
        if is_to_stop(state, run):
            continue
        room.is_waited_for |= 2 * fleet.unfinished(timeout_class) < window
        sent = _dispatch(state, run, now)
        room.spend(effects=len(sent))
        effects += sent
        use_rate(state, lane, now)
        free -= 1
    state.step.may_dispatch_more |= head is not None and free > 0 and not _has_room(room)
    return effects


def _correct(state: OwnerState, queue: ReadyQueue, now: datetime) -> list[Effect]:
    """Say in the status of each run that the executor cannot run why it waits, and take it back once it can."""
    effects: list[Effect] = []
    while not state.transaction.is_full and (found := queue.take_wrong()):
        run_id, why = found
        state.current_job = owner_of_run(run_id)
        run = state.durable.runs[run_id]
        status = move_to_queued(state, run.status, now, waits_for_capable(why) if why else None)
        effects += store_and_publish(state, msgspec.structs.replace(run, status=status))
        state.transaction.spend(effects=1)
    state.step.may_dispatch_more |= queue.has_wrong
    return effects


def waits_for_capable(why: str) -> Reason:
    """`why`: what the executor cannot give, as `schemas.confinement.unmet` says it."""
    return Reason(ReasonCode.NO_CAPABLE_EXECUTOR, f"waits for an executor that can run it: {why}")


def _has_room(room: TransactionRoom) -> bool:
    return room.payload_room > 0 and not room.is_full


def end_attempt(state: OwnerState, run: Run, report: AttemptReport, now: datetime) -> list[Effect]:
    """The open attempt of `run` ended. The job's retry policy decides whether another attempt follows."""
    state.remove_in_flight(run.run_id)
    decision = after_attempt(run, spec_of(state, run), report, now)
    expired = run.expired + 1 if report.end is AttemptEnd.EXPIRED else 0
    report = _in_a_row(report, expired) if expired > 1 else report
    attempt = ended_attempt(run.status.attempts[-1], report)
    status = change_attempt(run.status, attempt, version=state.next_token())
    status = fold_expired(status) if expired > 1 else status
    run = msgspec.structs.replace(run, expired=expired)
    match decision:
        case EndRun(state=to, reason=reason):
            status = transition_to(status, to, version=state.next_token(), at=now, reason=reason)
            run = msgspec.structs.replace(run, status=status)
            return store_and_publish(state, run) + _report_dead(run) + count_end(state, run)
        case NextAttempt():
            run = msgspec.structs.replace(run, status=status)
            return _again(state, run, decision, report, now)
        case _:
            assert_never(decision)


def _in_a_row(report: AttemptReport, times: int) -> AttemptReport:
    text = f"{report.reason.text if report.reason else report.end.value}, {times} times in a row"
    return msgspec.structs.replace(report, reason=Reason(ReasonCode.EXPIRED, text))


def _report_dead(run: Run) -> list[Effect]:
    """Report a dead run to the operators as well."""
    if run.state is not RunState.DEAD:
        return []
    status = run.status
    text = f"run {run.run_id!r} is dead: {status.reason}"
    return [ReportProblem(code=ProblemCode.RUN_DEAD, reason=text, owner=status.job_id, run=status)]


def _again(state: OwnerState, run: Run, decision: NextAttempt, report: AttemptReport, now: datetime) -> list[Effect]:
    to, before = RunState.RETRY_WAIT if decision.wait else RunState.QUEUED, run.due_at
    status = transition_to(run.status, to, version=state.next_token(), at=now, reason=report.reason)
    run = msgspec.structs.replace(
        run,
        status=msgspec.structs.replace(status, timeout_class=report.next_class or status.timeout_class),
        failures=decision.failures,
        infra_failures=decision.infra_failures,
        due_at=now + decision.wait,
    )
    if report.end is AttemptEnd.EXPIRED or report.is_unmet:
        run = _as_if_never_dispatched(run, run.due_at if decision.wait else before)
    state.expect_start(run)
    state.wait_until(run.due_at, run.run_id)
    return store_and_publish(state, run)


def _as_if_never_dispatched(run: Run, due_at: datetime) -> Run:
    """An expired dispatch keeps the run's place in the queue. It does not start the time for retries, and neither does
    one that its executor could not run.
    """
    is_first = run.tried_since == run.status.attempts[-1].dispatched_at
    return msgspec.structs.replace(run, due_at=due_at, tried_since=None if is_first else run.tried_since)


def _dispatch(state: OwnerState, run: Run, now: datetime) -> list[Effect]:
    job, payload, results = inputs_of(state, run)
    name = run.status.timeout_class or ""
    size = record_bytes(results)
    refusal = why_too_large(results, size)
    if refusal:
        reason = Reason(ReasonCode.RESULTS_TOO_LARGE, refusal)
        status = transition_to(run.status, RunState.FAILED, version=state.next_token(), at=now, reason=reason)
        return store_and_publish(state, msgspec.structs.replace(run, status=status))
    state.transaction.payload_room -= size + size_of(payload)
    token = state.next_token()
    attempt = Attempt(attempt=run.status.attempt + 1, token=token, timeout_class=name, dispatched_at=now)
    status = with_attempt(run.status, attempt, version=state.next_token())
    terms = state.settings.terms
    run = msgspec.structs.replace(run, status=status, tried_since=run.tried_since or now, terms=terms)
    flight = InFlight(token=token, timeout_class=name, dispatched_at=now, due_at=run.due_at, terms=terms)
    state.add_in_flight(run.run_id, flight)
    dispatch = _dispatch_of(state.settings, run, job, payload, results)
    return [*store_and_publish(state, run), SendDispatch(dispatch=dispatch)]


def _dispatch_of(
    settings: CoreSettings, run: Run, job: JobSpec, payload: Json, results: dict[str, Result | None] | None
) -> Dispatch:
    """The dispatch of the run's newest attempt."""
    attempt, terms = run.status.attempts[-1], settings.terms
    timeout_class = settings.class_named(attempt.timeout_class)
    assert timeout_class, f"{run.run_id}: dispatch into class {attempt.timeout_class!r}, which is not configured"
    return Dispatch(
        run_id=run.run_id,
        owner=OwnerId(job.job_id),
        job_id=job.job_id,
        attempt=attempt.attempt,
        token=attempt.token,
        timeout_class=attempt.timeout_class,
        nominal_time=run.status.nominal_time,
        scheduled_time=run.status.scheduled_time,
        executable=job.executable,
        sha256=job.sha256,
        args=job.args,
        env=job.env,
        payload=payload,
        limit=limit_in(timeout_class, job),
        valid_for=terms.valid_for,
        claim_grace=terms.claim_grace,
        lease=terms.lease,
        checkpoint=run.checkpoint,
        results=results,
        traceparent=run.status.traceparent,
        tenant=job.tenant,
        confinement=job.confinement,
    )
