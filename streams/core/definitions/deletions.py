"""How long a deletion is remembered, and what an owner believes of a job of which it knows nothing (protocol I2).

A new snapshot sends every version again that the table holds, also those of jobs that were deleted. Deletions that are
forgotten leave one mark: the highest of their versions and the latest of their times. A definition of an unknown
job may be a copy of a deleted one if neither its version nor its time is beyond the mark: it is not applied.
"""

from __future__ import annotations

import heapq
from datetime import datetime

from schemas.job import Definition
from schemas.reasons import ProblemCode
from schemas.times import rfc3339
from streams.core.effects import DeadLetter, Effect, Origin, PutJob
from streams.core.state import OwnerState
from streams.core.stored import Forgotten


def note_applied(state: OwnerState, definition: Definition, now: datetime) -> None:
    """Deletions age by the definitions that were applied, never by the wall clock: an outage forgets nothing."""
    at = min(definition.valid_from, now)  # a time in the future would forget all of them
    state.durable.newest_definition = max(at, state.durable.newest_definition)


def forget_deletions(state: OwnerState) -> list[Effect]:
    """A deletion is remembered for the request TTL, and for as long as a run of the job is open."""
    effects: list[Effect] = []
    deletions, horizon = state.derived.deletions, state.durable.newest_definition - state.rules.request_ttl
    while deletions and deletions[0][0] <= horizon and not state.transaction.is_half_full:
        deleted_at, owner = heapq.heappop(deletions)
        state.current_job = owner
        stored = state.durable.jobs.get(owner)
        if stored is None or not stored.deleted or stored.valid_from > deleted_at:
            continue
        if state.derived.open_runs.get(owner):
            heapq.heappush(deletions, (state.durable.newest_definition, owner))  # to be looked at one TTL later
            continue
        del state.durable.jobs[owner]
        state.derived.epochs.graphs.pop((owner, stored.version), None)
        _mark(state, stored.version, stored.valid_from)
        effects.append(PutJob(owner=owner, job=None))
        state.transaction.spend(effects=1)
    return effects


def may_be_deleted(state: OwnerState, definition: Definition) -> bool:
    """Whether a definition of an unknown job may be a copy of a job whose deletion is forgotten."""
    mark = state.durable.forgotten
    return mark is not None and definition.version <= mark.version and definition.valid_from <= mark.valid_from


def refuse_as_deleted(definition: Definition, origin: Origin) -> list[Effect]:
    """It is new after all if its transaction took longer than the TTL; such a job must not be lost in silence."""
    if definition.deleted:
        return []
    kind, owner = definition.kind.value, definition.owner
    table = "tidemill.jobs" if kind == "job" else "tidemill.dags"
    reason = (
        f"{kind} {owner!r}: version {definition.version} of {rfc3339(definition.valid_from)} is not applied: it is so "
        "old that its deletion would be forgotten; "
        f"if {owner!r} is in {table}, change anything in its row, and it counts from then"
    )
    return [DeadLetter(code=ProblemCode.DEFINITION_REFUSED, reason=reason, owner=owner, origin=origin)]


def _mark(state: OwnerState, version: int, valid_from: datetime) -> None:
    before = state.durable.forgotten or Forgotten(version=version, valid_from=valid_from)
    state.durable.forgotten = Forgotten(
        version=max(version, before.version), valid_from=max(valid_from, before.valid_from)
    )
