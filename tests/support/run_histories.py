"""Generated histories of runs, as owners would write them to `status`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from schemas.ids import ExecutorId, occurrence_run_id
from schemas.status import MAX_ATTEMPTS, MAX_TRANSITIONS, Attempt, RunStatus, Transition
from schemas.words import AttemptEnd, RunKind, RunState

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
LONG_EVERY = 97
"""One run in this many has more transitions and attempts than its record keeps."""


def histories(runs: int, *, start: datetime = START) -> Iterator[RunStatus]:
    """All records of `runs` runs, in an order in which one partition's owner could have written them."""
    version = 0
    for first in range(0, runs, 40):
        states = [_queued(number, start) for number in range(first, min(first + 40, runs))]
        while states:
            still_open = []
            for number, status in states:
                version += 1
                written = _step(status, number, version)
                yield written
                if not written.state.is_final:
                    still_open.append((number, written))
            states = still_open


def latest_by_run(history: Iterator[RunStatus]) -> dict[str, RunStatus]:
    """The newest record of each run: what compaction keeps."""
    return {status.run_id: status for status in history}


def _queued(number: int, start: datetime) -> tuple[int, RunStatus]:
    nominal = start + timedelta(seconds=7 * number)
    job_id = f"job-{number % 50}"
    status = RunStatus(
        run_id=occurrence_run_id(job_id, nominal),
        job_id=job_id,
        tenant="default",
        kind=RunKind.SCHEDULED,
        nominal_time=nominal,
        scheduled_time=nominal + timedelta(milliseconds=number % 1000),
        state=RunState.RETRY_WAIT,
        version=0,
        timeout_class="10s",
        queued_at=nominal,
    )
    return number, status


def _step(status: RunStatus, number: int, version: int) -> RunStatus:
    at = status.nominal_time + timedelta(milliseconds=version % 5000)
    tries = 30 if number % LONG_EVERY == 0 else 1
    match status.state:
        case RunState.QUEUED:
            return _moved(status, version, at, RunState.RUNNING, started_at=at)
        case RunState.RUNNING if status.attempt < tries:
            return _moved(status, version, at, RunState.RETRY_WAIT, end=AttemptEnd.FAILED, exit_code=1)
        case RunState.RUNNING:
            return _moved(
                status, version, at, RunState.SUCCEEDED, end=AttemptEnd.SUCCEEDED, exit_code=0, finished_at=at
            )
        case _:
            attempt = Attempt(attempt=status.attempt + 1, token=version, timeout_class="10s", dispatched_at=at)
            queued = msgspec.structs.replace(status, attempt=attempt.attempt, attempts=(*status.attempts, attempt))
            return _moved(queued, version, at, RunState.QUEUED)


def _moved(status: RunStatus, version: int, at: datetime, state: RunState, **changes: object) -> RunStatus:
    moved = Transition(version=version, at=at, state=state, attempt=status.attempt)
    latest = msgspec.structs.replace(
        status.attempts[-1],
        executor_id=ExecutorId("executor-0.1"),
        output="hello\n",
        **{name: value for name, value in changes.items() if name in {"end", "exit_code", "started_at", "finished_at"}},
    )
    transitions = (*status.transitions, moved)
    if len(transitions) > MAX_TRANSITIONS:
        transitions = (transitions[0], *transitions[-MAX_TRANSITIONS + 1 :])
    return msgspec.structs.replace(
        status,
        state=state,
        version=version,
        transitions=transitions,
        attempts=(*status.attempts[:-1], latest)[-MAX_ATTEMPTS:],
        **{name: value for name, value in changes.items() if name in {"started_at", "finished_at", "exit_code"}},
    )
