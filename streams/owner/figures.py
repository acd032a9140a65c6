"""What an owner shows of itself at one moment: counts and times for the metrics, from its indexes alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from streams.core.state import OwnerState


class WaitingRuns(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The runs of one timeout class that are due and wait for an executor with a free slot: they are not dispatched,
    or dispatched and not reported by any executor.
    """

    count: int
    oldest: datetime | None
    """When the oldest of them became due; None: there is none."""
    unmet: int = 0
    """How many more wait for an executor that can give what they ask for."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    watermark: datetime
    waiting: Mapping[str, WaitingRuns]
    """By timeout class; the configured ones."""
    held: int
    """Runs that wait for other runs of their job or DAG to end; those of backfills do not count."""
    jobs: int
    """Jobs and DAGs that are not deleted."""
    quarantined: int
    """Those that the owner ignores, because the core failed on them."""
    unscheduled: int
    """Those whose schedule the owner does not follow: it is invalid, or a tick failed on it."""


def figures_of(state: OwnerState) -> Figures:
    """Takes O(timeout classes, and what runs ask for): it is called once a second, however many jobs and runs there
    are.
    """
    durable, derived = state.durable, state.derived
    return Figures(
        watermark=durable.watermark,
        waiting={each.name: _waiting(state, each.name) for each in state.settings.classes},
        held=derived.held,
        jobs=len(durable.jobs) - len(derived.deleted),
        quarantined=len(durable.quarantined),
        unscheduled=len(derived.unscheduled),
    )


def _waiting(state: OwnerState, name: str) -> WaitingRuns:
    queue, (unreported, oldest) = state.derived.ready.get(name), state.seen.fleet.unreported(name)
    times = (queue.oldest if queue else None, oldest)
    return WaitingRuns(
        count=unreported + (len(queue) - queue.unmet if queue else 0),
        oldest=min((each for each in times if each), default=None),
        unmet=queue.unmet if queue else 0,
    )
