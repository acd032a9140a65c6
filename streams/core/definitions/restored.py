"""Definitions of a database that was restored from a backup: its versions begin again (protocol I10)."""

from __future__ import annotations

from datetime import timedelta

from schemas.job import Definition
from schemas.reasons import ProblemCode
from schemas.times import rfc3339
from streams.core.effects import DeadLetter, Effect, Origin
from streams.core.stored import StoredJob

CLOCK_STEP = timedelta(seconds=1)
"""So far may the clock of a database go back without a word."""


def of_restored_database(known: StoredJob, definition: Definition, origin: Origin) -> list[Effect]:
    """A version that is not newer but was written later: both grow together, unless a backup was restored.

    A copy of what was applied before has an earlier time, or the same.
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
