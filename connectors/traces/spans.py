"""The spans of a run that has ended, computed from its record alone. Pure.

    run            from the time at which it was due or asked for, to its end
    ├─ wait        until an attempt is dispatched: in the queue, for other runs of its job, or for its retry
    ├─ attempt     from its dispatch to its end; TRACEPARENT names it, so the process's own spans are below it
    │  ├─ claim    until an executor has taken it
    │  ├─ fetch    its executable and what else it needs, if something had to be fetched
    │  └─ process  from the start of the process to its end
    └─ …

The run of a node is below the run of its DAG, and a run with a `traceparent` is below the span that asked for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import Enum

import msgspec

from schemas.ids import dag_run_of
from schemas.reasons import ReasonCode
from schemas.status import Attempt, RunStatus
from schemas.trace_ids import attempt_span_id, parent_span_id, part_span_id, run_span_id, trace_id
from schemas.words import AttemptEnd, RunKind, RunState

Attributes = dict[str, str | int | float]


class SpanStatus(Enum):
    """The values of `Status.code` in OTLP."""

    UNSET = 0
    OK = 1
    ERROR = 2


class Span(msgspec.Struct, frozen=True, kw_only=True):
    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    begin: datetime
    end: datetime
    attributes: Attributes = {}
    status: SpanStatus = SpanStatus.UNSET
    message: str | None = None
    """Why the status is `ERROR`."""


RUN_STATUS = {
    RunState.SUCCEEDED: SpanStatus.OK,
    RunState.FAILED: SpanStatus.ERROR,
    RunState.TIMED_OUT: SpanStatus.ERROR,
    RunState.DEAD: SpanStatus.ERROR,
    RunState.MISSED: SpanStatus.ERROR,
    RunState.UPSTREAM_FAILED: SpanStatus.ERROR,
}
"""A run in another state was stopped or skipped on purpose: that is no error."""
ATTEMPT_STATUS = {
    AttemptEnd.SUCCEEDED: SpanStatus.OK,
    AttemptEnd.FAILED: SpanStatus.ERROR,
    AttemptEnd.TIMED_OUT: SpanStatus.ERROR,
    AttemptEnd.LOST: SpanStatus.ERROR,
    AttemptEnd.REJECTED: SpanStatus.ERROR,
}


def spans(run: RunStatus) -> list[Span]:
    """The spans of a run in a final state; the run itself comes first."""
    trace, own = trace_id(run.run_id, run.traceparent), run_span_id(run.run_id, run.rerun_id)
    begin, end = _begin(run), _end(run)
    root = Span(
        trace_id=trace,
        span_id=own,
        parent_span_id=_parent(run),
        name=f"run {run.job_id}/{run.node_id}" if run.node_id else f"run {run.job_id}",
        begin=min(begin, end),
        end=end,
        attributes=_run_attributes(run),
        status=RUN_STATUS.get(run.state, SpanStatus.UNSET),
        message=run.reason if RUN_STATUS.get(run.state) is SpanStatus.ERROR else None,
    )
    return [root, *_waits(run, root), *(each for attempt in run.attempts for each in _attempt(run, attempt, root))]


def _parent(run: RunStatus) -> str | None:
    if run.kind is RunKind.NODE:
        return run_span_id(dag_run_of(run.run_id))
    return parent_span_id(run.traceparent) if run.traceparent else None


def _begin(run: RunStatus) -> datetime:
    """A late occurrence begins when it was due. A backfilled one begins when it was queued."""
    queued = run.transitions[0].at if run.transitions else run.queued_at or run.scheduled_time
    return min(run.scheduled_time, queued) if run.kind is RunKind.SCHEDULED else queued


def _end(run: RunStatus) -> datetime:
    return run.finished_at or (run.transitions[-1].at if run.transitions else run.scheduled_time)


def _waits(run: RunStatus, root: Span) -> Iterator[Span]:
    """One span before each attempt, and one before the end of a run that had to end without another attempt."""
    since = root.begin
    for attempt in run.attempts:
        yield from _wait(run, root, since, attempt.dispatched_at, attempt.attempt)
        since = attempt.finished_at or root.end
    if not run.attempts:
        yield from _wait(run, root, since, root.end, 0)


def _wait(run: RunStatus, root: Span, since: datetime, until: datetime, before: int) -> Iterator[Span]:
    if until <= since:
        return
    reasons = [each for each in run.transitions if since <= each.at <= until and each.reason_code]
    attributes: Attributes = {"tidemill.before_attempt": before} if before else {}
    if reasons:
        attributes["tidemill.reason_code"] = str(reasons[-1].reason_code)
        attributes["tidemill.reason"] = reasons[-1].reason or ""
    yield Span(
        trace_id=root.trace_id,
        span_id=part_span_id(run.run_id, before, "wait"),
        parent_span_id=root.span_id,
        name="wait",
        begin=since,
        end=until,
        attributes=attributes,
    )


def _attempt(run: RunStatus, attempt: Attempt, root: Span) -> Iterator[Span]:
    end = attempt.finished_at or root.end
    own = Span(
        trace_id=root.trace_id,
        span_id=attempt_span_id(run.run_id, attempt.attempt),
        parent_span_id=root.span_id,
        name=f"attempt {attempt.attempt}",
        begin=min(attempt.dispatched_at, end),
        end=end,
        attributes=_attempt_attributes(attempt),
        status=ATTEMPT_STATUS.get(attempt.end, SpanStatus.UNSET) if attempt.end else SpanStatus.UNSET,
        message=attempt.reason,
    )
    yield own
    claimed, started = attempt.claimed_at, attempt.started_at
    parts = (
        ("claim", attempt.dispatched_at, claimed or started),
        ("fetch", claimed, started),
        ("process", started, end),
    )
    for name, since, until in parts:
        if since is not None and until is not None and since <= until:
            yield Span(
                trace_id=own.trace_id,
                span_id=part_span_id(run.run_id, attempt.attempt, name),
                parent_span_id=own.span_id,
                name=name,
                begin=since,
                end=until,
            )


def _run_attributes(run: RunStatus) -> Attributes:
    given: dict[str, str | int | None] = {
        "tidemill.run_id": run.run_id,
        "tidemill.job_id": run.job_id,
        "tidemill.tenant": run.tenant,
        "tidemill.kind": run.kind.value,
        "tidemill.state": run.state.value,
        "tidemill.dag_id": run.dag_id,
        "tidemill.node_id": run.node_id,
        "tidemill.request_id": run.request_id,
        "tidemill.rerun_id": run.rerun_id,
        "tidemill.reason_code": _code(run.reason_code),
        "tidemill.nominal_time": run.nominal_time.isoformat(),
    }
    return {name: value for name, value in given.items() if value is not None}


def _attempt_attributes(attempt: Attempt) -> Attributes:
    given: dict[str, str | int | float | None] = {
        "tidemill.attempt": attempt.attempt,
        "tidemill.fencing_token": attempt.token,
        "tidemill.timeout_class": attempt.timeout_class,
        "tidemill.executor_id": attempt.executor_id,
        "tidemill.ended_as": attempt.end.value if attempt.end else None,
        "tidemill.reason_code": _code(attempt.reason_code),
        "tidemill.cpu_seconds": attempt.cpu_seconds,
        "tidemill.peak_memory": attempt.peak_memory,
        "process.exit.code": attempt.exit_code,
    }
    return {name: value for name, value in given.items() if value is not None}


def _code(code: ReasonCode | None) -> str | None:
    return None if code is None else code.value
