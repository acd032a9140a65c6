"""Apply the events that executors report about attempts; only the current attempt counts."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

import msgspec

from schemas.classes import class_called
from schemas.event import Claimed, EndCause, Ended, Event, Expired, Rejected, Started
from schemas.exit_codes import shell_exit_code
from schemas.ids import ExecutorId
from schemas.reasons import ProblemCode, ReasonCode
from schemas.words import AttemptEnd, RunState
from streams.core.dag.epoch import Epoch
from streams.core.dag.node_results import is_short_circuit, wrong_choice
from streams.core.effects import Effect, ReportProblem
from streams.core.policy.promotion import limit_in, next_class
from streams.core.reason import Reason, of_exit_code
from streams.core.runs.life import end_attempt, store_and_publish, waits_for_capable
from streams.core.runs.run import AttemptReport, Exit, Run, change_attempt, transition_to
from streams.core.runs.specs import epoch_of, spec_of
from streams.core.state import OwnerState

_WHY_LOST = {
    EndCause.LEASE: Reason(ReasonCode.LEASE_EXPIRED, "its lease ran out"),
    EndCause.STOPPED: Reason(ReasonCode.EXECUTOR_STOPPED, "its executor stopped"),
    EndCause.CANCELLED: Reason(ReasonCode.KILLED_BY_OTHER, "it was killed, but not by its owner"),
    EndCause.LIMIT: Reason(ReasonCode.NOT_STARTED, "it was ended by a limit, but had not started"),
}
_NOT_CLAIMED = Reason(ReasonCode.EXPIRED, "no executor took it in time")


def apply_event(
    state: OwnerState, event: Event, executor_id: ExecutorId, now: datetime, appended_at: datetime
) -> list[Effect]:
    """A late or duplicate event, or one of an older attempt, is normal and changes nothing."""
    run = state.durable.runs.get(event.run_id)
    attempt = run.open_attempt if run else None
    if run is None or attempt is None or attempt.token != event.token:
        return []
    state.seen.fleet.note_report(state.seen.in_flight[event.run_id], executor_id, appended_at)
    match event:
        case Claimed():
            return _claimed(state, run, event, executor_id)
        case Started():
            return _started(state, run, event, executor_id)
        case Ended():
            return _ended(state, _as_started(state, run, event), event, executor_id, now)
        case Rejected(reason=text, at=at, is_unmet=is_unmet):
            why = waits_for_capable(text) if is_unmet else Reason(ReasonCode.REJECTED, text)
            report = AttemptReport(end=AttemptEnd.REJECTED, reason=why, executor_id=executor_id, finished_at=at)
            return end_attempt(state, run, report, now)
        case Expired(at=at):
            report = AttemptReport(end=AttemptEnd.EXPIRED, reason=_NOT_CLAIMED, executor_id=executor_id, finished_at=at)
            return end_attempt(state, run, report, now)
        case _:
            assert_never(event)


def _claimed(state: OwnerState, run: Run, event: Claimed, executor_id: ExecutorId) -> list[Effect]:
    attempt = msgspec.structs.replace(run.status.attempts[-1], executor_id=executor_id, claimed_at=event.at)
    status = change_attempt(run.status, attempt, version=state.next_token())
    return store_and_publish(state, msgspec.structs.replace(run, status=status))


def _started(state: OwnerState, run: Run, event: Started, executor_id: ExecutorId) -> list[Effect]:
    if run.state is RunState.RUNNING:
        return []
    version = state.next_token()
    attempt = msgspec.structs.replace(
        run.status.attempts[-1], executor_id=executor_id, started_at=event.at, sha256=event.sha256
    )
    status = change_attempt(run.status, attempt, version=version)
    if run.state is not RunState.CANCELLING:  # a run that is being stopped stays in `cancelling`
        status = transition_to(status, RunState.RUNNING, version=version, at=event.at)
    return store_and_publish(state, msgspec.structs.replace(run, status=status))


def _as_started(state: OwnerState, run: Run, event: Ended) -> Run:
    """An end with a start time implies the start, even if its event was lost with the topic (protocol O2)."""
    if run.state is not RunState.QUEUED or event.started_at is None:
        return run
    status = transition_to(run.status, RunState.RUNNING, version=state.next_token(), at=event.started_at)
    return msgspec.structs.replace(run, status=status)


def _ended(state: OwnerState, run: Run, event: Ended, executor_id: ExecutorId, now: datetime) -> list[Effect]:
    event = msgspec.structs.replace(event, exit_code=shell_exit_code(event.exit_code))
    if event.checkpoint:
        run = msgspec.structs.replace(run, checkpoint=event.checkpoint)
    run, report = _judged(state, run, event)
    report = msgspec.structs.replace(report, executor_id=executor_id, finished_at=event.at, exit=_exit_of(event))
    return [*_report_left(run, event, executor_id), *end_attempt(state, run, report, now)]


def _report_left(run: Run, event: Ended, executor_id: ExecutorId) -> list[Effect]:
    """The next attempt may run beside what is left of this one: an operator has to know."""
    if event.left_problem is None:
        return []
    where = f"attempt {event.attempt} of run {run.run_id!r} left processes on executor {executor_id!r}"
    text = f"{where}: {event.left_problem}"
    return [ReportProblem(code=ProblemCode.PROCESSES_LEFT, reason=text, owner=run.status.job_id, run=run.status)]


def _exit_of(event: Ended) -> Exit:
    return Exit(
        started_at=event.started_at,
        exit_code=event.exit_code,
        output=event.output or None,
        output_bytes=event.output_bytes,
        log_uri=event.log_uri,
        peak_memory=event.peak_memory,
        cpu_seconds=event.cpu_seconds,
    )


def _judged(state: OwnerState, run: Run, event: Ended) -> tuple[Run, AttemptReport]:
    """How the attempt ended, and the run with its result."""
    problem = event.checkpoint_problem
    match event.cause:
        case EndCause.EXITED:
            return _exited(state, run, event)
        case EndCause.LIMIT if run.state is not RunState.QUEUED:
            met = (text for _, text in _limits_met(event) if text)
            return run, _limit_reached(state, run, "; ".join(filter(None, (*met, problem))))
        case EndCause.CANCELLED if run.state is RunState.CANCELLING:
            return run, AttemptReport(end=AttemptEnd.CANCELLED, reason=None)
        case EndCause.LEASE | EndCause.STOPPED | EndCause.CANCELLED | EndCause.LIMIT:
            return run, AttemptReport(end=AttemptEnd.LOST, reason=_with(_WHY_LOST[event.cause], problem))
        case _:
            assert_never(event.cause)


def _exited(state: OwnerState, run: Run, event: Ended) -> tuple[Run, AttemptReport]:
    epoch, node_id = epoch_of(state, run), run.status.node_id or ""
    code, problem = event.exit_code, event.checkpoint_problem
    if code != 0 and epoch and not run.marked and is_short_circuit(epoch, node_id, code):
        run = msgspec.structs.replace(run, status=msgspec.structs.replace(run.status, next_nodes=()))
        text = f"{of_exit_code(code).text}: nothing that depends on it is followed"
        why = _with(Reason(ReasonCode.SHORT_CIRCUIT, text), problem)
        return run, AttemptReport(end=AttemptEnd.SUCCEEDED, reason=why)
    if code != 0:
        return run, AttemptReport(end=AttemptEnd.FAILED, reason=_with(_why_failed(event), problem))
    if run.marked:  # its result does not count
        return run, AttemptReport(end=AttemptEnd.SUCCEEDED, reason=None)
    if event.result_lost:
        return run, AttemptReport(end=AttemptEnd.LOST, reason=Reason(ReasonCode.RESULT_LOST, event.result_lost))
    unusable = _unusable(epoch, node_id, event)
    if unusable:
        return run, AttemptReport(end=AttemptEnd.FAILED, reason=_with(unusable, problem))
    if event.result:
        next_nodes = event.next_nodes if epoch else None
        status = msgspec.structs.replace(run.status, result=event.result, next_nodes=next_nodes)
        run = msgspec.structs.replace(run, status=status)
    return run, AttemptReport(end=AttemptEnd.SUCCEEDED, reason=_note(event))


def _unusable(epoch: Epoch | None, node_id: str, event: Ended) -> Reason | None:
    """Why a process that exited with 0 did not succeed."""
    if event.result_problem:
        return Reason(ReasonCode.INVALID_RESULT, event.result_problem)
    if epoch is None:
        return None
    if event.result_refused and epoch.graph.children[epoch.graph.index[node_id]]:
        return Reason(ReasonCode.RESULT_LOST, f"{event.result_refused}; nodes that depend on it would not get it")
    wrong = wrong_choice(epoch, node_id, event)
    return Reason(ReasonCode.INVALID_RESULT, wrong) if wrong else None


def _note(event: Ended) -> Reason | None:
    """What went wrong beside a success: its result or its checkpoint was not kept, or it met a limit and went on."""
    notes = (
        (ReasonCode.RESULT_LOST, event.result_refused),
        *_limits_met(event),
        (ReasonCode.CHECKPOINT_PROBLEM, event.checkpoint_problem),
    )
    said = [(code, text) for code, text in notes if text]
    return Reason(said[0][0], "; ".join(text for _, text in said)) if said else None


def _why_failed(event: Ended) -> Reason:
    why = of_exit_code(event.exit_code)
    met = [(code, text) for code, text in _limits_met(event) if text]
    return Reason(met[0][0], "; ".join([why.text, *(text for _, text in met)])) if met else why


def _limits_met(event: Ended) -> tuple[tuple[ReasonCode, str | None], ...]:
    """A killed process comes first: a refused one may have been answered well."""
    return (
        (ReasonCode.OUT_OF_MEMORY, event.memory_problem),
        (ReasonCode.DISK_FULL, event.disk_problem),
        (ReasonCode.TOO_MANY_PROCESSES, event.pids_problem),
    )


def _limit_reached(state: OwnerState, run: Run, problem: str | None) -> AttemptReport:
    job = spec_of(state, run)
    current = run.status.attempts[-1].timeout_class
    following = next_class(current, job, state.settings)
    if following is None:
        why = Reason(ReasonCode.TIMED_OUT, f"timed out after {limit_in(class_called(current), job)}")
        return AttemptReport(end=AttemptEnd.TIMED_OUT, reason=_with(why, problem))
    why = Reason(ReasonCode.PROMOTED, f"longer than {current}, goes on in {following.name}")
    return AttemptReport(end=AttemptEnd.PROMOTED, reason=_with(why, problem), next_class=following.name)


def _with(why: Reason, problem: str | None) -> Reason:
    return why.but(problem) if problem else why
