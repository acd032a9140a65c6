"""A run: its states, the legal transitions, and `transition_to`, the only function that makes a transition."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import IntEnum

import msgspec

from schemas.ids import ExecutorId, RunId, request_run_id
from schemas.raw import Json, keep_json
from schemas.reasons import ReasonCode
from schemas.status import MAX_ATTEMPTS, MAX_OUTPUTS, MAX_TRANSITIONS, Attempt, RunStatus, Transition
from schemas.words import AttemptEnd, RunKind, RunState
from streams.core.reason import Reason
from streams.core.settings import DispatchTerms

Q, R, W, C = RunState.QUEUED, RunState.RUNNING, RunState.RETRY_WAIT, RunState.CANCELLING

MARKS = frozenset({RunState.SUCCEEDED, RunState.SKIPPED})
"""The states that a user may give to a node. If its process runs, it is stopped first."""

LEGAL: dict[RunState | None, frozenset[RunState]] = {
    # Stopping a DAG run cancels nodes that have no record yet.
    None: frozenset({Q, RunState.MISSED, RunState.UPSTREAM_FAILED, RunState.CANCELLED, *MARKS}),
    # After a rejected, lost or promoted attempt, the run returns to the queue or ends.
    Q: frozenset({Q, R, W, C, RunState.CANCELLED, RunState.DEAD, RunState.FAILED, RunState.MISSED, *MARKS}),
    R: frozenset({Q, W, C, RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.DEAD}),
    W: frozenset({Q, RunState.CANCELLED, RunState.MISSED, *MARKS}),
    # The process may succeed before the kill arrives. A DAG run may also be stopped by its timeout.
    C: frozenset({RunState.CANCELLED, RunState.TIMED_OUT, *MARKS}),
}
"""Legal transitions; None is before the first record. Final states are no keys: nothing follows them."""


class Lane(IntEnum):
    """The priority of a ready run: the lowest value is dispatched first."""

    LIVE = 0
    """Occurrences that are due now, and requested runs."""
    CATCH_UP = 1
    """Occurrences that were due while the owner or the job was away."""
    BACKFILL = 2


DispatchOrder = tuple[Lane, bool, datetime]


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A run that is not final: its public status, and the facts that only its owner needs."""

    status: RunStatus
    payload: Json = None
    """From the request; None: the job's."""
    failures: int = 0
    """Attempts that count against `max_attempts`."""
    infra_failures: int = 0
    """Attempts that count against `max_infra_retries`: lost and rejected ones."""
    tried_since: datetime | None = None
    """When the first dispatch was sent that did not expire: `max_retry_duration` counts from here."""
    checkpoint: str | None = None
    """The newest checkpoint in S3 that an attempt left for the next one."""
    kill_grace: timedelta | None = None
    """The time between TERM and KILL, if the run is being stopped."""
    marked: RunState | None = None
    """The state that a node gets once its process has stopped, if a user marked it."""
    due_at: datetime
    """Do not dispatch before this: the scheduled time, or the end of a backoff."""
    lane: Lane = Lane.LIVE
    held: bool = False
    """It waits for other runs of its job to end, as the overlap policy says."""
    start_by: datetime | None = None
    """If it has not started by then, it is missed."""
    terms: DispatchTerms | None = None
    """The terms of its newest attempt; None in records of the previous version."""
    expired: int = 0
    """How many dispatches in a row, just before the open one, expired because no executor claimed them in time."""

    def __post_init__(self) -> None:
        keep_json(self, "payload")

    @property
    def run_id(self) -> RunId:
        return self.status.run_id

    @property
    def state(self) -> RunState:
        return self.status.state

    @property
    def backfill_id(self) -> RunId | None:
        """The run id of the backfill that this run belongs to."""
        kind = self.status.kind
        is_one = kind is RunKind.BACKFILLED or (kind is RunKind.DAG and self.lane is Lane.BACKFILL)
        return request_run_id(self.status.job_id, self.status.request_id or "") if is_one else None

    @property
    def is_rerun(self) -> bool:
        """It is a rerun: a request ran it again."""
        return self.status.rerun_id is not None

    @property
    def dispatch_order(self) -> DispatchOrder:
        """The ready run with the lowest order is dispatched first. Within a priority, reruns come last."""
        return self.lane, self.is_rerun, self.due_at

    @property
    def has_started(self) -> bool:
        """It has had an attempt, or is a DAG run that has opened."""
        return bool(self.status.attempts or self.status.started_at)

    @property
    def open_attempt(self) -> Attempt | None:
        """The attempt that was dispatched and has not ended."""
        attempts = self.status.attempts
        return attempts[-1] if attempts and attempts[-1].end is None else None


class Exit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an executor observed of an attempt's process."""

    started_at: datetime | None
    """None: the process never started."""
    exit_code: int | None
    output: str | None
    output_bytes: int
    log_uri: str | None
    peak_memory: int | None = None
    cpu_seconds: float | None = None


class AttemptReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an attempt ended."""

    end: AttemptEnd
    reason: Reason | None
    """None: it succeeded or was stopped, and there is nothing to add."""
    executor_id: ExecutorId | None = None
    """The executor that reported the end; None: the owner decided it."""
    finished_at: datetime | None = None
    exit: Exit | None = None
    """None: no executor observed a process."""
    next_class: str | None = None
    """The class of the next attempt, if this one was promoted."""

    @property
    def is_unmet(self) -> bool:
        """Its executor could not give what it asks for, so it was not tried."""
        return self.reason is not None and self.reason.code is ReasonCode.NO_CAPABLE_EXECUTOR


def transition_to(
    status: RunStatus, to: RunState, *, version: int, at: datetime, reason: Reason | None = None
) -> RunStatus:
    """The status after a transition. An illegal transition is a bug, never bad input."""
    before = status.transitions
    left = status.state if before else None
    assert to in LEGAL.get(left, ()), f"{status.run_id}: {left} -> {to} is not a legal transition"
    text, code = (reason.text, reason.code) if reason else (None, None)
    transition = Transition(version=version, at=at, state=to, attempt=status.attempt, reason=text, reason_code=code)
    filed_on = status.filed_on or (at.date() if not before else None)  # never changes (protocol S4)
    return msgspec.structs.replace(
        status,
        state=to,
        reason=text,
        reason_code=code,
        version=version,
        filed_on=filed_on,
        transitions=_bounded((*before, transition)),
        finished_at=_finished_at(status, at) if to.is_final else None,
    )


def ended_attempt(attempt: Attempt, report: AttemptReport) -> Attempt:
    reason, exit_ = report.reason, report.exit
    attempt = msgspec.structs.replace(
        attempt,
        end=report.end,
        reason=reason.text if reason else None,
        reason_code=reason.code if reason else None,
        executor_id=report.executor_id or attempt.executor_id,
        finished_at=report.finished_at,
    )
    return msgspec.structs.replace(attempt, **msgspec.structs.asdict(exit_)) if exit_ else attempt


def with_attempt(status: RunStatus, attempt: Attempt, *, version: int) -> RunStatus:
    """The status with one more attempt."""
    return msgspec.structs.replace(
        status,
        attempt=attempt.attempt,
        timeout_class=attempt.timeout_class,
        executor_id=None,
        version=version,
        attempts=_with_few_outputs(_few((*status.attempts, attempt))),
    )


def reason_of(status: RunStatus) -> Reason | None:
    return Reason(status.reason_code, status.reason or "") if status.reason_code else None


def why_stopped(status: RunStatus) -> Reason:
    """Why a run is being stopped."""
    return reason_of(status) or Reason(ReasonCode.CANCELLED_BY_REQUEST, status.reason or "cancelled")


def change_attempt(status: RunStatus, attempt: Attempt, *, version: int) -> RunStatus:
    """The status with its newest attempt replaced, and with the fields that the run copies from it."""
    return msgspec.structs.replace(
        status,
        version=version,
        attempts=(*status.attempts[:-1], attempt),
        executor_id=attempt.executor_id,
        started_at=(attempt.attempt > 1 and status.started_at) or attempt.started_at,
        exit_code=attempt.exit_code,
        log_uri=attempt.log_uri,
    )


def fold_expired(status: RunStatus) -> RunStatus:
    """Keep only the newest of expired dispatches in a row: remove the one before it from the history.

    A long history has dropped that one already (`_few`).
    """
    *earlier, folded, newest = status.attempts
    if folded.end is not AttemptEnd.EXPIRED:
        return status
    expired = folded.attempt, ReasonCode.EXPIRED
    return msgspec.structs.replace(
        status,
        attempts=(*earlier, newest),
        transitions=tuple(each for each in status.transitions if (each.attempt, each.reason_code) != expired),
    )


def _few(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Drop expired attempts before attempts that were executed."""
    if len(attempts) <= MAX_ATTEMPTS:
        return attempts
    gone = next((n for n, each in enumerate(attempts[:-1]) if each.end is AttemptEnd.EXPIRED), 0)
    return attempts[:gone] + attempts[gone + 1 :]


def _finished_at(status: RunStatus, at: datetime) -> datetime:
    """When the process ended, by the executor's report; without a process, the time of the decision."""
    last = status.attempts[-1].finished_at if status.attempts else None
    return last or at


def _bounded(transitions: tuple[Transition, ...]) -> tuple[Transition, ...]:
    if len(transitions) <= MAX_TRANSITIONS:
        return transitions
    return (transitions[0], *transitions[-(MAX_TRANSITIONS - 1) :])


def _with_few_outputs(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    if len(attempts) <= MAX_OUTPUTS or attempts[-MAX_OUTPUTS - 1].output is None:
        return attempts
    bare = msgspec.structs.replace(attempts[-MAX_OUTPUTS - 1], output=None)
    return (*attempts[: -MAX_OUTPUTS - 1], bare, *attempts[-MAX_OUTPUTS:])
