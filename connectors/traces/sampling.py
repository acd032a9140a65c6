"""Chooses the runs whose trace is sent: all that failed or started late, and a share of the others. Pure."""

from __future__ import annotations

from datetime import timedelta

from schemas.status import RunStatus
from schemas.trace_ids import trace_id
from schemas.words import AttemptEnd, RunKind, RunState

LATE = timedelta(seconds=5)
"""The objective for starts (docs/metrics.md, tidemill_run_lateness_seconds)."""
_AS_WANTED = frozenset({RunState.SUCCEEDED, RunState.CANCELLED, RunState.SKIPPED})
_WHOLE = 1 << 64


def is_sampled(run: RunStatus, share: float) -> bool:
    """The share is taken by trace id, so all runs of a trace are in or out together, unless one failed or was late."""
    return _is_remarkable(run) or int(trace_id(run.run_id, run.traceparent)[-16:], 16) < share * _WHOLE


def _is_remarkable(run: RunStatus) -> bool:
    failed = run.state not in _AS_WANTED or any(each.end is AttemptEnd.LOST for each in run.attempts)
    started = [each.started_at for each in run.attempts if each.started_at is not None]
    late = run.kind is RunKind.SCHEDULED and bool(started) and min(started) - run.scheduled_time > LATE
    return failed or late
