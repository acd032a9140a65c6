"""The public record of a run on the topic `status`: what it is now, with its transitions and attempts (protocol S1)."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from schemas.ids import ExecutorId, RunId
from schemas.reasons import ReasonCode
from schemas.result import Result
from schemas.words import AttemptEnd, RunKind, RunState

MAX_TRANSITIONS = 60
"""Of a run that has more, the first and the latest are kept."""
MAX_ATTEMPTS = 20
"""Of a run that has more, the latest are kept; those that expired go first."""
MAX_OUTPUTS = 3
"""So many of the latest attempts keep their output in the record."""


class Transition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    version: int
    at: datetime
    state: RunState
    attempt: int
    reason: str | None = None
    reason_code: ReasonCode | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    attempt: int
    token: int
    timeout_class: str
    dispatched_at: datetime
    executor_id: ExecutorId | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    end: AttemptEnd | None = None
    exit_code: int | None = None
    reason: str | None = None
    reason_code: ReasonCode | None = None
    sha256: str | None = None
    output: str | None = None
    output_bytes: int = 0
    log_uri: str | None = None


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """A range of occurrences that did not run, as one record: from the first to the last, both included."""

    first: datetime
    last: datetime
    count: int
    at_least: bool
    """The count stopped at its limit; there may be more."""


class RunStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    run_id: RunId
    job_id: str
    """Of a DAG run and of its nodes the DAG's id: what places them in a partition."""
    tenant: str
    kind: RunKind
    nominal_time: datetime
    scheduled_time: datetime
    state: RunState
    version: int
    """Grows with every record of this run; from the partition's counter."""
    dag_id: str | None = None
    """Of a DAG run and of its nodes."""
    node_id: str | None = None
    """Of a node's run alone."""
    nodes: dict[RunState, int] | None = None
    """Of a DAG run: how many of its nodes are in which state."""
    dag_version: int | None = None
    """Of a DAG run that has opened: the version of its definition that it goes by."""
    reason: str | None = None
    reason_code: ReasonCode | None = None
    blocked_by: RunId | None = None
    """Of an occurrence that was skipped: a run that was in its way."""
    attempt: int = 0
    """0: never dispatched."""
    timeout_class: str | None = None
    executor_id: ExecutorId | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    log_uri: str | None = None
    request_id: str | None = None
    """Of the request that asked for the run."""
    rerun_id: str | None = None
    """Of the request that had it run once more, the last one: its history begins again there."""
    missed: Missed | None = None
    result: Result | None = None
    """What its successful attempt wrote to `$TIDEMILL_RESULT`."""
    next_nodes: tuple[str, ...] | None = None
    """Of a node that chose: which of those that depend on it are followed; to the others it counts as skipped."""
    filed_on: date | None = None
    """The UTC day of its first transition, of a node that of its DAG run: it places the run in the read model."""
    transitions: tuple[Transition, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def filed(self) -> date:
        """`filed_on`, of older records too: the first transition is always kept."""
        first = self.transitions[0].at if self.transitions else self.queued_at or self.scheduled_time
        return self.filed_on or first.date()
