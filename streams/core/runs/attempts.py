"""What executors report about attempts, judged: only the current attempt is listened to (design, ideas 6 and 7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_never

import msgspec

from schemas.classes import class_called
from schemas.event import Claimed, EndCause, Ended, Event, Expired, Rejected, Started
from schemas.exit_codes import as_a_shell_has_it, exit_code_in_words
from schemas.ids import ExecutorId
from schemas.words import AttemptEnd, RunState
from streams.core.dag.hand_on import is_short_circuit, wrong_choice
from streams.core.effects import Effect
from streams.core.policy.promotion import limit_in, next_class
from streams.core.runs.life import end_attempt, put
from streams.core.runs.run import Run, change_attempt, move
from streams.core.runs.specs import epoch_of, spec_of
from streams.core.state import OwnerState

_WHY_LOST = {
    EndCause.LEASE: "its lease ran out",
    EndCause.STOPPED: "its executor stopped",
    EndCause.CANCELLED: "it was killed, but not by its owner",
    EndCause.LIMIT: "it was ended by a limit, but had not started",
}


def apply_event(
    state: OwnerState, event: Event, executor_id: ExecutorId, now: datetime, appended_at: datetime
) -> list[Effect]:
    """A late, duplicate or foreign event is normal and changes nothing."""
    run = state.durable.runs.get(event.run_id)
    attempt = run.open_attempt if run else None
    if run is None or attempt is None or attempt.token != event.token:
        return []
    state.seen.fleet.found_at(state.seen.in_flight[event.run_id], executor_id, appended_at)
    match event:
        case Claimed():
            return _claimed(state, run, event, executor_id)
        case Started():
            return _started(state, run, event, executor_id)
        case Ended():
            return _ended(state, _as_begun(state, run, event), event, executor_id, now)
        case Rejected(reason=reason, at=at):
            return end_attempt(
                state, run, AttemptEnd.REJECTED, now, executor_id=executor_id, finished_at=at, reason=reason
            )
        case Expired(at=at):
            reason = "expired: no executor took it in time"
            return end_attempt(
                state, run, AttemptEnd.EXPIRED, now, executor_id=executor_id, finished_at=at, reason=reason
            )
        case _:
            assert_never(event)


def _claimed(state: OwnerState, run: Run, event: Claimed, executor_id: ExecutorId) -> list[Effect]:
    status = change_attempt(run.status, version=state.next_token(), executor_id=executor_id, claimed_at=event.at)
    return put(state, msgspec.structs.replace(run, status=status))


def _started(state: OwnerState, run: Run, event: Started, executor_id: ExecutorId) -> list[Effect]:
    if run.state is RunState.RUNNING:
        return []
    version = state.next_token()
    status = change_attempt(
        run.status, version=version, executor_id=executor_id, started_at=event.at, sha256=event.sha256
    )
    if run.state is not RunState.CANCELLING:  # else the kill is on its way to it
        status = move(status, RunState.RUNNING, version=version, at=event.at)
    return put(state, msgspec.structs.replace(run, status=status))


def _as_begun(state: OwnerState, run: Run, event: Ended) -> Run:
    """What a process did tells that it was started, also where that word is lost with its topic (protocol O2)."""
    if run.state is not RunState.QUEUED or event.started_at is None:
        return run
    status = move(run.status, RunState.RUNNING, version=state.next_token(), at=event.started_at)
    return msgspec.structs.replace(run, status=status)


def _ended(state: OwnerState, run: Run, event: Ended, executor_id: ExecutorId, now: datetime) -> list[Effect]:
    event = msgspec.structs.replace(event, exit_code=as_a_shell_has_it(event.exit_code))
    facts: dict[str, Any] = {
        "executor_id": executor_id,
        "started_at": event.started_at,
        "finished_at": event.at,
        "exit_code": event.exit_code,
        "output": event.output or None,
        "output_bytes": event.output_bytes,
        "log_uri": event.log_uri,
    }
    if event.checkpoint:
        run = msgspec.structs.replace(run, checkpoint=event.checkpoint)
    problem = event.checkpoint_problem
    match event.cause:
        case EndCause.EXITED:
            return _exited(state, run, event, now, facts)
        case EndCause.LIMIT if run.state is not RunState.QUEUED:
            return _limit_reached(state, run, now, problem, facts)
        case EndCause.CANCELLED if run.state is RunState.CANCELLING:
            return end_attempt(state, run, AttemptEnd.CANCELLED, now, **facts)
        case EndCause.LEASE | EndCause.STOPPED | EndCause.CANCELLED | EndCause.LIMIT:
            reason = _joined(f"lost: {_WHY_LOST[event.cause]}", problem)
            return end_attempt(state, run, AttemptEnd.LOST, now, reason=reason, **facts)
        case _:
            assert_never(event.cause)


def _exited(state: OwnerState, run: Run, event: Ended, now: datetime, facts: dict[str, Any]) -> list[Effect]:
    if run.marked:  # whatever its process said
        end = AttemptEnd.FAILED if event.exit_code else AttemptEnd.SUCCEEDED
        return end_attempt(state, run, end, now, **facts)
    problem = "; ".join(filter(None, [event.memory_problem, event.checkpoint_problem])) or None
    epoch, node_id = epoch_of(state, run), run.status.node_id or ""
    if event.exit_code != 0 and epoch and is_short_circuit(epoch, node_id, event.exit_code):
        run = msgspec.structs.replace(run, status=msgspec.structs.replace(run.status, next_nodes=()))
        why = _joined(f"{exit_code_in_words(event.exit_code)}: nothing that depends on it is followed", problem)
        return end_attempt(state, run, AttemptEnd.SUCCEEDED, now, reason=why, **facts)
    if event.exit_code != 0:
        reason = _joined(exit_code_in_words(event.exit_code), problem) if problem else None
        return end_attempt(state, run, AttemptEnd.FAILED, now, reason=reason, **facts)
    if event.result_lost:
        return end_attempt(state, run, AttemptEnd.LOST, now, reason=f"lost: {event.result_lost}", **facts)
    wrong = event.result_problem or (wrong_choice(epoch, node_id, event) if epoch else None)
    if wrong:
        return end_attempt(state, run, AttemptEnd.FAILED, now, reason=_joined(wrong, problem), **facts)
    if event.result:
        next_nodes = event.next_nodes if epoch else None
        status = msgspec.structs.replace(run.status, result=event.result, next_nodes=next_nodes)
        run = msgspec.structs.replace(run, status=status)
    return end_attempt(state, run, AttemptEnd.SUCCEEDED, now, reason=problem, **facts)


def _limit_reached(
    state: OwnerState, run: Run, now: datetime, problem: str | None, facts: dict[str, Any]
) -> list[Effect]:
    job = spec_of(state, run)
    current = run.status.attempts[-1].timeout_class
    following = next_class(current, job, state.rules)
    if following is None:
        reason = _joined(f"timed out after {limit_in(class_called(current), job)}", problem)
        return end_attempt(state, run, AttemptEnd.TIMED_OUT, now, reason=reason, **facts)
    reason = _joined(f"promoted: longer than {current}, goes on in {following.name}", problem)
    return end_attempt(state, run, AttemptEnd.PROMOTED, now, next_class=following.name, reason=reason, **facts)


def _joined(reason: str, problem: str | None) -> str:
    return f"{reason}; {problem}" if problem else reason
