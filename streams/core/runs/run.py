"""A run: the states it may take, and the only function that moves it from one to the next."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import IntEnum

import msgspec

from schemas.ids import ExecutorId, RunId, request_run_id
from schemas.raw import Json, keep_json
from schemas.reasons import ReasonCode
from schemas.status import MAX_ATTEMPTS, MAX_OUTPUTS, MAX_TRANSITIONS, Attempt, RunStatus, Transition
from schemas.words import AttemptEnd, RunKind, RunState
from streams.core.policy.rules import Terms
from streams.core.reason import Reason

Q, R, W, C = RunState.QUEUED, RunState.RUNNING, RunState.RETRY_WAIT, RunState.CANCELLING

MARKS = frozenset({RunState.SUCCEEDED, RunState.SKIPPED})
"""What people may say that a node counts as, whatever it is; a process of it is stopped first."""

LEGAL: dict[RunState | None, frozenset[RunState]] = {
    # A node of a DAG run that was told to stop is cancelled before it was anything else.
    None: frozenset({Q, RunState.MISSED, RunState.UPSTREAM_FAILED, RunState.CANCELLED, *MARKS}),
    # An attempt that was rejected, lost before it started, or promoted leads back to the queue or ends the run.
    Q: frozenset({Q, R, W, C, RunState.CANCELLED, RunState.DEAD, RunState.FAILED, RunState.MISSED, *MARKS}),
    R: frozenset({Q, W, C, RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.DEAD}),
    W: frozenset({Q, RunState.CANCELLED, RunState.MISSED, *MARKS}),
    # It may have succeeded before it was told to stop; a DAG run is also told to by its timeout.
    C: frozenset({RunState.CANCELLED, RunState.TIMED_OUT, *MARKS}),
}
"""The whole life of a run; None is before its first record. Final states are not in the table: nothing follows them."""


class Lane(IntEnum):
    """Who goes first when there is less room than work."""

    LIVE = 0
    """What is due now, and what somebody asked for."""
    CATCH_UP = 1
    """Occurrences from before the owner, or the job, was away."""
    BACKFILL = 2


Turn = tuple[Lane, bool, datetime]


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A run that is not final: its public status, and what the owner alone needs to know."""

    status: RunStatus
    payload: Json = None
    """From the request; None: the job's."""
    failures: int = 0
    """Attempts that count against `max_attempts`."""
    infra_failures: int = 0
    """Attempts that count against `max_infra_retries`: lost and rejected ones."""
    tried_since: datetime | None = None
    """When its first attempt was dispatched."""
    checkpoint: str | None = None
    """What its attempts have left in S3 for the next one, the newest."""
    kill_grace: timedelta | None = None
    """Of a run that is told to stop, between TERM and KILL."""
    marked: RunState | None = None
    """Of a node that is told to stop: what it then counts as."""
    due_at: datetime
    """Not dispatched before: the scheduled time, or the end of a retry's wait."""
    lane: Lane = Lane.LIVE
    held: bool = False
    """It waits for other runs of its job to end, as the overlap policy says."""
    start_by: datetime | None = None
    """If it has not started by then, it is missed."""
    terms: Terms | None = None
    """Of its newest attempt; None in records of the version before."""
    expired: int = 0
    """So many dispatches before the open one, in a row, were taken by no executor in time."""

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
        """Of the run that stands for the backfill which it is one of the runs of."""
        kind = self.status.kind
        is_one = kind is RunKind.BACKFILLED or (kind is RunKind.DAG and self.lane is Lane.BACKFILL)
        return request_run_id(self.status.job_id, self.status.request_id or "") if is_one else None

    @property
    def is_again(self) -> bool:
        """It was asked to run once more."""
        return self.status.rerun_id is not None

    @property
    def turn(self) -> Turn:
        """Among the runs that are ready, the lowest goes first: within a lane, what runs again goes behind the rest."""
        return self.lane, self.is_again, self.due_at

    @property
    def has_begun(self) -> bool:
        """It has had an attempt, or is a DAG run that has opened."""
        return bool(self.status.attempts or self.status.started_at)

    @property
    def open_attempt(self) -> Attempt | None:
        """The attempt that is dispatched and has not ended."""
        attempts = self.status.attempts
        return attempts[-1] if attempts and attempts[-1].end is None else None


class Exit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an executor saw of the process of an attempt."""

    started_at: datetime | None
    """None: it never was there."""
    exit_code: int | None
    output: str | None
    output_bytes: int
    log_uri: str | None


class AttemptReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an attempt ended."""

    end: AttemptEnd
    reason: Reason | None
    """None: it succeeded, or was told to stop, and there is nothing else to say."""
    executor_id: ExecutorId | None = None
    """Who reports it; None: its owner found it out."""
    finished_at: datetime | None = None
    exit: Exit | None = None
    """None: nobody saw its process."""
    next_class: str | None = None
    """Where it goes on, if it is promoted."""


def move(status: RunStatus, to: RunState, *, version: int, at: datetime, reason: Reason | None = None) -> RunStatus:
    """The status after a transition. An illegal one is a broken invariant, not bad input."""
    before = status.transitions
    left = status.state if before else None
    assert to in LEGAL.get(left, ()), f"{status.run_id}: {left} -> {to} is no legal transition"
    text, code = (reason.text, reason.code) if reason else (None, None)
    transition = Transition(version=version, at=at, state=to, attempt=status.attempt, reason=text, reason_code=code)
    filed_on = status.filed_on or (at.date() if not before else None)  # once for all its life (protocol S4)
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
    """Of a run that is told to stop."""
    return reason_of(status) or Reason(ReasonCode.CANCELLED_BY_REQUEST, status.reason or "cancelled")


def change_attempt(status: RunStatus, attempt: Attempt, *, version: int) -> RunStatus:
    """The status with `attempt` as its latest, and with the facts of it that the run shows as its own."""
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
    """Of dispatches in a row that expired, the newest stands for all: the one before it leaves the history."""
    *earlier, folded, newest = status.attempts
    assert folded.end is AttemptEnd.EXPIRED, f"{status.run_id}: attempt {folded.attempt} did not expire"
    said = folded.attempt, ReasonCode.EXPIRED
    return msgspec.structs.replace(
        status,
        attempts=(*earlier, newest),
        transitions=tuple(each for each in status.transitions if (each.attempt, each.reason_code) != said),
    )


def _few(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """What was executed is kept for longer than what was not."""
    if len(attempts) <= MAX_ATTEMPTS:
        return attempts
    gone = next((n for n, each in enumerate(attempts[:-1]) if each.end is AttemptEnd.EXPIRED), 0)
    return attempts[:gone] + attempts[gone + 1 :]


def _finished_at(status: RunStatus, at: datetime) -> datetime:
    """When the process was gone, as its executor saw it; a run without one ended when that was decided."""
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
