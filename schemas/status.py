"""The public record of a run on the topic `status`: its state, transitions and attempts (protocol S1)."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from schemas.ids import ExecutorId, RunId
from schemas.reasons import ReasonCode
from schemas.result import Result
from schemas.words import AttemptEnd, RunKind, RunState

MAX_TRANSITIONS = 60
"""If a run has more, the record keeps the first and the latest."""
MAX_ATTEMPTS = 20
"""If a run has more, the record keeps the latest; expired ones are dropped first."""
MAX_OUTPUTS = 3
"""How many of the latest attempts keep their output in the record."""


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
    peak_memory: int | None = None
    """Bytes; as in `schemas.event.Ended`."""
    cpu_seconds: float | None = None


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """A range of occurrences that did not run, as one record: from the first to the last, both included."""

    first: datetime
    last: datetime
    count: int
    at_least: bool
    """True: the count stopped at its limit; there may be more."""


class RunStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    run_id: RunId
    job_id: str
    """The job's id; for a DAG run and its nodes the DAG's id. It decides the partition."""
    tenant: str
    kind: RunKind
    nominal_time: datetime
    scheduled_time: datetime
    state: RunState
    version: int
    """Increases with every record of this run; from the partition's counter."""
    dag_id: str | None = None
    """The DAG, for a DAG run and its nodes."""
    node_id: str | None = None
    """The node, for a node's run."""
    nodes: dict[RunState, int] | None = None
    """For a DAG run: the number of its nodes in each state."""
    dag_version: int | None = None
    """For a DAG run that has started: the version of its definition."""
    reason: str | None = None
    reason_code: ReasonCode | None = None
    blocked_by: RunId | None = None
    """For a skipped occurrence: the run that was open."""
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
    """The request that started the run."""
    rerun_id: str | None = None
    """The latest request that ran the run again; the history of the run starts there."""
    traceparent: str | None = None
    """The trace that the run is a part of, from the request for it, or for its DAG run (`schemas.trace_ids`)."""
    missed: Missed | None = None
    result: Result | None = None
    """The result of its successful attempt, from `$TIDEMILL_RESULT`."""
    next_nodes: tuple[str, ...] | None = None
    """For a node that chose: the dependent nodes that are followed; for the others it counts as skipped."""
    filed_on: date | None = None
    """The UTC day of its first transition, for a node of its DAG run; it decides the run's week in the read model."""
    transitions: tuple[Transition, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def filed(self) -> date:
        """`filed_on`, also for older records without it: they always keep the first transition."""
        first = self.transitions[0].at if self.transitions else self.queued_at or self.scheduled_time
        return self.filed_on or first.date()
