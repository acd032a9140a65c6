"""What a run did when, as spans: from due through queue, claim and fetch to its process, for each attempt. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from schemas.words import RunKind, RunState
from tidemill.target import Row

Work = Literal["queue", "retry", "claim", "fetch", "process"]
IDLE: frozenset[Work] = frozenset({"queue", "retry"})
"""No process works on the run: the timeline may compress it."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    lane: int
    work: Work
    begin: datetime
    end: datetime
    outcome: str = ""
    """How a process ended; empty: it runs, or it is no process."""
    is_open: bool = False
    """It has not ended: `end` is now."""


def spans(run: Row, attempts: Sequence[Row], now: datetime) -> list[Span]:
    """In the order of their begin. Spans without a length are left out, except a process."""
    found: list[Span] = []
    since = _due(run)
    is_open = not RunState(run["state"]).is_final
    for lane, attempt in enumerate(attempts):
        is_last = attempt is attempts[-1]
        found += _attempt(lane, attempt, since, now, is_open=is_open and is_last and not attempt["ended_as"])
        since = max(since, attempt["finished_at"] or attempt["dispatched_at"])
    if is_open and since < now and (not attempts or attempts[-1]["ended_as"]):
        work: Work = "retry" if attempts else "queue"
        found.append(Span(lane=len(attempts), work=work, begin=since, end=now, is_open=True))
    return found


def _due(run: Row) -> datetime:
    """From when the run could start: backfilled runs, reruns and nodes were due earlier, or wait for others."""
    kind = RunKind(run["kind"])
    if kind in {RunKind.NODE, RunKind.BACKFILLED, RunKind.BACKFILL} or run["rerun_id"]:
        return run["queued_at"] or run["scheduled_time"]  # type: ignore[no-any-return]  # a row's time
    return run["scheduled_time"]  # type: ignore[no-any-return]  # a row's time


def _attempt(lane: int, attempt: Row, since: datetime, now: datetime, *, is_open: bool) -> Iterator[Span]:
    dispatched, claimed, started = attempt["dispatched_at"], attempt["claimed_at"], attempt["started_at"]
    stop = attempt["finished_at"] or (now if is_open else None)
    taken = claimed or started or stop
    if since < dispatched:
        yield Span(lane=lane, work="retry" if lane else "queue", begin=since, end=dispatched)
    if taken and dispatched < taken:
        yield Span(lane=lane, work="claim", begin=dispatched, end=taken, is_open=is_open and taken is stop)
    fetched = started or stop
    if claimed and fetched and claimed < fetched:
        yield Span(lane=lane, work="fetch", begin=claimed, end=fetched, is_open=is_open and fetched is stop)
    if started and stop:
        outcome = attempt["ended_as"] or ""
        yield Span(lane=lane, work="process", begin=started, end=max(started, stop), outcome=outcome, is_open=is_open)
