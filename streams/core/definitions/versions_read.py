"""Which version of each definition the owner has read: the reconciler compares them with Postgres (decision 52)."""

from __future__ import annotations

from schemas.digest import DefinitionDigest, digest_of
from schemas.ids import OwnerId
from streams.core.state import OwnerState


def version_read(state: OwnerState, owner: OwnerId) -> int | None:
    """The newest version of a job or DAG; None: it is unknown or deleted. A quarantine stores one without using it."""
    job = state.durable.jobs.get(owner)
    quarantine = state.durable.quarantined.get(owner) or state.derived.to_try.get(owner)
    change = quarantine.change if quarantine else None
    newest = change if change and (job is None or change.version > job.version) else job
    return None if newest is None or newest.deleted else newest.version


def digest_of_state(state: OwnerState) -> DefinitionDigest:
    """Computed from all jobs, after a recovery."""
    special = state.durable.quarantined.keys() | state.derived.to_try.keys()
    if not special:
        return digest_of(each.version for each in state.durable.jobs.values() if not each.deleted)
    owners = state.durable.jobs.keys() | special
    return digest_of(version for owner in owners if (version := version_read(state, owner)) is not None)


def note_version(state: OwnerState, owner: OwnerId, before: int | None) -> None:
    """Count the change of a version; `before`: `version_read` before the change."""
    state.derived.digest = state.derived.digest.changed(before, version_read(state, owner))
