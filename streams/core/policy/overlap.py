"""What happens to an occurrence whose job, or DAG, has open runs: one pure function over their counts.

`streams/core/runs/overlapping.py` counts, and carries the decision out. To add a policy: docs in CONTRIBUTING.md.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from schemas.ids import RunId
from schemas.job import JobSpec
from schemas.reasons import ReasonCode
from schemas.words import OverlapPolicy, RunState
from streams.core.reason import Reason


class OpenRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The open runs of one job as an occurrence finds them: now, and at its own nominal time ("then").

    Runs of backfills do not count: a backfill has its own limit.
    """

    at_work: int
    """Open now and not held."""
    held: int
    """Held now: they wait until others end."""
    open_then: int
    """Open then, held ones included. Runs that catch up do not count."""
    held_then: int
    """Held then. Runs that catch up do not count."""
    catching_up_then: int
    """Runs that catch up, not held, and that were open then."""
    any_since: bool
    """Another run has become open since then."""
    first_open_then: tuple[RunId, RunState] | None
    """One of those open then; one at work if there is one."""


class Start(msgspec.Struct, frozen=True):
    """The occurrence runs now."""


class Skip(msgspec.Struct, frozen=True, kw_only=True):
    """The occurrence never runs."""

    reason: Reason
    blocked_by: RunId | None = None


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """The occurrence becomes a run that waits until others have ended."""

    reason: Reason
    catches_up: bool
    """Others have become open since its time, so it goes behind those."""


class Replace(msgspec.Struct, frozen=True, kw_only=True):
    """The open runs are stopped; the occurrence becomes a run that waits until they have ended."""

    gently: bool
    """With the job's `cancel_grace`; else at once."""
    catches_up: bool
    """As in `Hold`."""


OverlapDecision = Start | Skip | Hold | Replace

START = Start()

IN_ORDER = frozenset({OverlapPolicy.BUFFER_ALL, OverlapPolicy.ALLOW_ALL})
"""All occurrences run one after the other by their times, also those that catch up."""

_ACTIVITY = {RunState.RETRY_WAIT: "waits for its next attempt", RunState.CANCELLING: "is being stopped"}


def decide_overlap(job: JobSpec, found: OpenRuns) -> OverlapDecision:
    """What becomes of an occurrence of `job` that finds these open runs. A DAG's runs are its epochs.

    An occurrence overlaps with what was open at its own time. For runs that became open after its time, and for runs
    that catch up, it only waits: no occurrence is skipped because others were decided late (decision 30).
    """
    match job.overlap_policy:
        case OverlapPolicy.SKIP:
            return _skip(job, found) or _wait(job, found)
        case OverlapPolicy.BUFFER_ONE:
            return _skip_beyond(1, found) or _wait(job, found)
        case OverlapPolicy.BUFFER_ALL | OverlapPolicy.ALLOW_ALL:
            return _skip_beyond(job.buffer_limit, found) or _wait(job, found)
        case OverlapPolicy.CANCEL_OTHER | OverlapPolicy.TERMINATE_OTHER:
            return _replace(job, found) or _wait(job, found)
        case _:
            assert_never(job.overlap_policy)


def at_a_time(job: JobSpec) -> int | None:
    """How many runs may be at work at a time; None: any number.

    With other policies than `allow_all` only a DAG has a limit: `max_active_epochs`.
    """
    return job.concurrency_limit if job.overlap_policy is OverlapPolicy.ALLOW_ALL else job.concurrency_limit or 1


def free_places(job: JobSpec, *, at_work: int, held: int) -> int:
    """How many more runs of `job` may be at work; without a limit, one more than are held."""
    limit = at_a_time(job)
    return held + 1 if limit is None else max(0, limit - at_work)


def _skip(job: JobSpec, found: OpenRuns) -> Skip | None:
    if found.first_open_then is None or found.open_then < (at_a_time(job) or 1):
        return None
    run_id, state = found.first_open_then
    text = f"{run_id} {_ACTIVITY.get(state) or f'is {state.value}'}"
    return Skip(reason=Reason(ReasonCode.OVERLAP_SKIPPED, text), blocked_by=run_id)


def _skip_beyond(limit: int, found: OpenRuns) -> Skip | None:
    if found.held_then < limit:
        return None
    text = f"{found.held_then} of at most {limit} wait already"
    return Skip(reason=Reason(ReasonCode.OVERLAP_SKIPPED, text))


def _replace(job: JobSpec, found: OpenRuns) -> Replace | None:
    if found.open_then + found.catching_up_then == 0:
        return None
    return Replace(gently=job.overlap_policy is OverlapPolicy.CANCEL_OTHER, catches_up=found.any_since)


def _wait(job: JobSpec, found: OpenRuns) -> Start | Hold:
    """Start if a place is free and no other run waits for it; else hold, which keeps the order."""
    if found.held == 0 and free_places(job, at_work=found.at_work, held=0):
        return START
    limit = at_a_time(job)
    text = f"waits until fewer than {limit} are open" if limit != 1 else "waits for the run before it"
    return Hold(reason=Reason(ReasonCode.OVERLAP_WAITING, text), catches_up=found.any_since)
