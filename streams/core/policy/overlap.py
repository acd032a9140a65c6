"""The overlap policy: what happens to an occurrence whose job or DAG has open runs. One pure function over counts.

`streams/core/runs/overlapping.py` counts the runs and applies the decision. CONTRIBUTING.md says how to add a policy.
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
    """Counts of one job's open runs: now, and at the occurrence's nominal time ("then").

    Runs of backfills do not count, because a backfill has its own limit.
    """

    active: int
    """Open and not held now."""
    held: int
    """Held now: these runs wait until others end."""
    open_then: int
    """Open then, including held runs. Runs that catch up do not count."""
    held_then: int
    """Held then. Runs that catch up do not count."""
    catching_up_then: int
    """Runs that catch up, were open then and are not held."""
    any_since: bool
    """Another run has become open since then."""
    first_open_then: tuple[RunId, RunState] | None
    """One run that was open then; an active one if possible."""


class Start(msgspec.Struct, frozen=True):
    """The occurrence runs now."""


class Skip(msgspec.Struct, frozen=True, kw_only=True):
    """The occurrence never runs."""

    reason: Reason
    blocked_by: RunId | None = None


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """The occurrence becomes a run that waits until other runs have ended."""

    reason: Reason
    catches_up: bool
    """Other runs became open after its time, so it waits behind them."""


class Replace(msgspec.Struct, frozen=True, kw_only=True):
    """The open runs are stopped; the occurrence becomes a run that waits until they have ended."""

    gently: bool
    """True: stop with the job's `cancel_grace`. False: kill at once."""
    catches_up: bool
    """As in `Hold`."""


OverlapDecision = Start | Skip | Hold | Replace

START = Start()

_ACTIVITY = {RunState.RETRY_WAIT: "waits for its next attempt", RunState.CANCELLING: "is being stopped"}


def decide_overlap(job: JobSpec, found: OpenRuns) -> OverlapDecision:
    """Decide an occurrence of `job`, given its open runs. A DAG's runs are its DAG runs.

    An occurrence overlaps with the runs that were open at its own time. It only waits for runs that became open later
    and for runs that catch up, so late decisions never skip an occurrence (decision 30).
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


def keeps_order(job: JobSpec) -> bool:
    """The policy runs all occurrences in the order of their times, including those that catch up."""
    match job.overlap_policy:
        case OverlapPolicy.BUFFER_ALL | OverlapPolicy.ALLOW_ALL:
            return True
        case OverlapPolicy.SKIP | OverlapPolicy.BUFFER_ONE | OverlapPolicy.CANCEL_OTHER | OverlapPolicy.TERMINATE_OTHER:
            return False
        case _:
            assert_never(job.overlap_policy)


def concurrency_of(job: JobSpec) -> int | None:
    """How many runs may be active at a time; None: any number.

    Under policies other than `allow_all`, a job has limit 1 and a DAG has `max_active_epochs`.
    """
    return job.concurrency_limit if job.overlap_policy is OverlapPolicy.ALLOW_ALL else job.concurrency_limit or 1


def free_slots(job: JobSpec, *, active: int, held: int) -> int:
    """How many more runs of `job` may become active. Without a limit: one more than the held runs."""
    limit = concurrency_of(job)
    return held + 1 if limit is None else max(0, limit - active)


def _skip(job: JobSpec, found: OpenRuns) -> Skip | None:
    if found.first_open_then is None or found.open_then < (concurrency_of(job) or 1):
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
    """Start if a slot is free and no run is held; otherwise hold, which keeps the order."""
    if found.held == 0 and free_slots(job, active=found.active, held=0):
        return START
    limit = concurrency_of(job)
    text = f"waits until fewer than {limit} are open" if limit != 1 else "waits for the run before it"
    return Hold(reason=Reason(ReasonCode.OVERLAP_WAITING, text), catches_up=found.any_since)
