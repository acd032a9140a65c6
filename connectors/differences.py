"""The jobs and DAGs whose versions differ between Postgres and the streams: found, and healed by new versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import psycopg

from connectors.held_definitions import HeldDefinitions
from connectors.statements import sql
from schemas.words import DefinitionKind

ROWS_AT_ONCE = 10_000
HEALED_AT_ONCE = 1_000
"""The versions of one transaction: writers of these jobs wait for it, and others do not."""


class Difference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    owner: str
    kind: DefinitionKind
    wanted: int | None
    """The version of its row; None: it has no row."""
    held: int | None
    """The version that the streams hold; None: they do not know it, or know it as deleted."""
    deleted_by: int | None = None
    """The version of its newest deletion in `tidemill.definitions`, if it has no row."""

    @property
    def is_of_restored_database(self) -> bool:
        """Whether the streams are ahead of Postgres. Then the tables may lack changes, and a person decides."""
        if self.held is None:
            return False
        known = self.deleted_by if self.wanted is None else self.wanted
        return known is None or known < self.held


def find_differences(postgres: psycopg.Connection, held: HeldDefinitions) -> list[Difference]:
    """Read `held` first: what the streams hold was in Postgres before now."""
    found: list[Difference] = []
    only_held = {owner for owner in held.owners() if held.version(owner)}
    with postgres.transaction(), postgres.cursor("definition_versions") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        for owner, kind, version in cursor.execute(sql("definition_versions")):
            only_held.discard(owner)
            there = held.version(owner)
            if there is None or there.version != version:
                known = there.version if there else None
                found.append(Difference(owner=owner, kind=DefinitionKind(kind), wanted=version, held=known))
    return found + _without_row(postgres, held, sorted(only_held))


def still_differing(differences: Iterable[Difference], held: HeldDefinitions) -> list[Difference]:
    """Those of which the streams still hold the same version."""
    found = []
    for each in differences:
        there = held.version(each.owner)
        if (there.version if there else None) == each.held:
            found.append(each)
    return found


def heal(postgres: psycopg.Connection, differences: Sequence[Difference]) -> tuple[list[int], list[int]]:
    """Append a new version, or a deletion, of each. Returns both lists of versions.

    It leaves out those that were changed since, or are being changed: that change is a new version itself.
    """
    rows = [each for each in differences if each.wanted is not None]
    gone = [each for each in differences if each.wanted is None]
    written: list[int] = []
    deleted: list[int] = []
    for part in _parts(rows):
        values = {"owners": [each.owner for each in part], "versions": [each.wanted for each in part]}
        written += [version for (version,) in postgres.execute(sql("append_again"), values)]
    for part in _parts(gone):
        values = {"owners": [each.owner for each in part], "kinds": [each.kind.value for each in part]}
        deleted += [version for (version,) in postgres.execute(sql("append_deletions"), values)]
    return written, deleted


def _without_row(postgres: psycopg.Connection, held: HeldDefinitions, owners: list[str]) -> list[Difference]:
    found = []
    for begin in range(0, len(owners), ROWS_AT_ONCE):
        part = owners[begin : begin + ROWS_AT_ONCE]
        deletions: dict[str, int] = dict(postgres.execute(sql("deletions_of"), {"owners": part}).fetchall())
        for owner in part:
            there = held.version(owner)
            assert there is not None, "only owners that the streams hold are asked for"
            deleted_by = deletions.get(owner)
            found.append(
                Difference(owner=owner, kind=there.kind, wanted=None, held=there.version, deleted_by=deleted_by)
            )
    return found


def _parts(differences: Sequence[Difference]) -> Iterable[Sequence[Difference]]:
    return (differences[begin : begin + HEALED_AT_ONCE] for begin in range(0, len(differences), HEALED_AT_ONCE))
