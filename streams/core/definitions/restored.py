"""Detect definitions of a database that was restored from a backup: its versions start again (protocol I10)."""

from __future__ import annotations

from datetime import timedelta

from schemas.job import Definition
from schemas.reasons import ProblemCode
from schemas.times import rfc3339
from streams.core.effects import DeadLetter, Effect, Origin
from streams.core.stored import StoredJob

CLOCK_STEP = timedelta(seconds=1)
"""How far the clock of a database may go back before a definition counts as restored."""


def of_restored_database(known: StoredJob, definition: Definition, origin: Origin) -> list[Effect]:
    """Report a version that is not newer but was written later, because both grow together without a restore.

    A copy of an applied definition has the same or an earlier time.
    """
    if definition.valid_from <= known.valid_from + CLOCK_STEP:
        return []
    kind, owner = definition.kind.value, definition.owner
    reason = (
        f"{kind} {owner!r}: version {definition.version} of {rfc3339(definition.valid_from)} is not applied, because "
        f"version {known.version} of {rfc3339(known.valid_from)} is: the database was restored from a backup; "
        "`tidemill restored` makes what its tables say count again"
    )
    return [DeadLetter(code=ProblemCode.DEFINITION_REFUSED, reason=reason, owner=owner, origin=origin)]
