"""How long a deletion is remembered, and when the definition of an unknown job is refused (protocol I2).

A new snapshot sends all versions of the table again, including those of deleted jobs. Forgotten deletions leave one
bound: their highest version and their latest time. A definition of an unknown job whose version and time are both not
above the bound may be a copy of a deleted job, so it is not applied.
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
    """Deletions age by the applied definitions, not by the wall clock, so an outage forgets no deletion."""
    at = min(definition.valid_from, now)  # a time in the future would forget all deletions
    state.durable.newest_definition = max(at, state.durable.newest_definition)


def forget_deletions(state: OwnerState) -> list[Effect]:
    """Forget deletions older than the request TTL, unless a run of the job is open."""
    effects: list[Effect] = []
    deletions, horizon = state.derived.deletions, state.durable.newest_definition - state.settings.request_ttl
    while deletions and deletions[0][0] <= horizon and not state.transaction.is_half_full:
        deleted_at, owner = heapq.heappop(deletions)
        state.current_job = owner
        stored = state.durable.jobs.get(owner)
        if stored is None or not stored.deleted or stored.valid_from > deleted_at:
            continue
        if state.derived.open_runs.get(owner):
            heapq.heappush(deletions, (state.durable.newest_definition, owner))  # check it again one TTL later
            continue
        del state.durable.jobs[owner]
        state.derived.deleted.discard(owner)
        state.derived.epochs.graphs.pop((owner, stored.version), None)
        _raise_bound(state, stored.version, stored.valid_from)
        effects.append(PutJob(owner=owner, job=None))
        state.transaction.spend(effects=1)
    return effects


def may_be_deleted(state: OwnerState, definition: Definition) -> bool:
    """Whether the definition of an unknown job may be a copy of a job whose deletion is forgotten."""
    bound = state.durable.forgotten
    return bound is not None and definition.version <= bound.version and definition.valid_from <= bound.valid_from


def refuse_as_deleted(definition: Definition, origin: Origin) -> list[Effect]:
    """Refuse the definition. It may be new after all, if its transaction took longer than the TTL, so report it."""
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


def _raise_bound(state: OwnerState, version: int, valid_from: datetime) -> None:
    before = state.durable.forgotten or Forgotten(version=version, valid_from=valid_from)
    state.durable.forgotten = Forgotten(
        version=max(version, before.version), valid_from=max(valid_from, before.valid_from)
    )
