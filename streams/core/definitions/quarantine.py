"""Jobs and DAGs on which the core failed: the owner leaves them alone until their definition changes (decision 19)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.dag import DagSpec
from schemas.ids import OwnerId
from schemas.job import Definition, JobSpec
from schemas.reasons import ProblemCode
from schemas.topics import CDC
from streams.core.definitions.apply import apply_definition
from streams.core.definitions.versions_read import note_version, version_read
from streams.core.effects import Effect, Origin, PutQuarantine, ReportProblem
from streams.core.state import OwnerState
from streams.core.stored import StoredChange, StoredQuarantine


def store_change(state: OwnerState, definition: Definition) -> list[Effect]:
    """Store a changed definition of a quarantined job; the next owner tries it first."""
    owner, spec = definition.owner, definition.spec
    known = state.durable.quarantined[owner]
    if definition.version <= max(known.tried_version, known.change.version if known.change else 0):
        return []
    change = StoredChange(
        version=definition.version,
        valid_from=definition.valid_from,
        deleted=definition.deleted,
        kind=definition.kind,
        job=spec if isinstance(spec, JobSpec) else None,
        dag=spec if isinstance(spec, DagSpec) else None,
    )
    state.durable.quarantined[owner] = msgspec.structs.replace(known, change=change)
    state.derived.is_outdated = True
    return [PutQuarantine(owner=owner, quarantine=state.durable.quarantined[owner])]


def take_over(state: OwnerState, now: datetime) -> list[Effect]:
    """Report newly quarantined jobs, and apply the changed definitions of jobs that are tried again."""
    effects: list[Effect] = []
    for owner in sorted(state.derived.newly_quarantined):
        quarantine = state.durable.quarantined[owner]
        effects.append(PutQuarantine(owner=owner, quarantine=quarantine))
        effects.append(ReportProblem(code=ProblemCode.QUARANTINED, reason=quarantine.reason, owner=owner))
    state.derived.newly_quarantined.clear()
    for owner, quarantine in list(state.derived.to_try.items()):
        if state.transaction.is_full:
            break
        state.current_job = owner
        before = version_read(state, owner)
        effects += _try_again(state, owner, quarantine, now)
        note_version(state, owner, before)
    return effects


def _try_again(state: OwnerState, owner: OwnerId, quarantine: StoredQuarantine, now: datetime) -> list[Effect]:
    change = quarantine.change
    assert change is not None
    definition = Definition(
        owner=owner,
        version=change.version,
        valid_from=change.valid_from,
        deleted=change.deleted,
        spec=change.job or change.dag,
        kind=change.kind,
    )
    effects = apply_definition(state, definition, Origin(topic=CDC, offset=-1, key=None, value=None), now)
    if state.step.is_cut:  # continue in the next transaction
        state.step.is_cut = False
        return effects
    del state.derived.to_try[owner]
    return [*effects, PutQuarantine(owner=owner, quarantine=None)]
