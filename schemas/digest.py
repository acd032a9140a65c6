"""A digest of the versions of definitions: Postgres and the streams compare three numbers, not a million rows.

Each version is given once (`tidemill.definition_version`), so the versions of all jobs and DAGs that are not deleted
say which definitions there are, and their order does not matter. `connectors/definition_digest.sql` computes the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

_HALF = 0xFFFFFFFF
_FACTOR = 73_244_475
"""Odd, spreads bits well, and its product with 32 bits fits a bigint of Postgres."""


class DefinitionDigest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    count: int = 0
    total: int = 0
    """The sum of the versions."""
    mixed: int = 0
    """The mixed versions, combined by XOR."""

    def changed(self, before: int | None, after: int | None) -> DefinitionDigest:
        """The digest after one job or DAG changed its version; None: it does not exist, or is deleted."""
        if before == after:
            return self
        count, total, mixed = self.count, self.total, self.mixed
        if before is not None:
            count, total, mixed = count - 1, total - before, mixed ^ mix(before)
        if after is not None:
            count, total, mixed = count + 1, total + after, mixed ^ mix(after)
        return DefinitionDigest(count=count, total=total, mixed=mixed)

    def joined(self, other: DefinitionDigest) -> DefinitionDigest:
        """The digest of both; no definition is in both."""
        return DefinitionDigest(
            count=self.count + other.count, total=self.total + other.total, mixed=self.mixed ^ other.mixed
        )


def digest_of(versions: Iterable[int]) -> DefinitionDigest:
    count = total = mixed = 0
    for version in versions:
        count, total, mixed = count + 1, total + version, mixed ^ mix(version)
    return DefinitionDigest(count=count, total=total, mixed=mixed)


def mix(version: int) -> int:
    """32 well-mixed bits, so that sets of versions with one sum differ."""
    half = (version ^ version >> 16) & _HALF
    half = half * _FACTOR & _HALF
    half = (half ^ half >> 16) * _FACTOR & _HALF
    return half ^ half >> 16
