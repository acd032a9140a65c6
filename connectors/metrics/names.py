"""Bounds a label: the names that come first have a value of their own, and keep it; the others are `other`."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from observe.catalogue.status import OTHER


class SavedNames(msgspec.Struct, frozen=True, kw_only=True):
    """The tenants and jobs with a label of their own, in the order in which they came.

    They have a file of their own, which is written before their first figure is shown: after a crash the partitions may
    be read in another order, and a name that got its label then must get it again.
    """

    tenants: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()


NO_NAMES = SavedNames()


class Names:
    __slots__ = ("_known", "_limit")

    def __init__(self, limit: int, known: Iterable[str] = ()) -> None:
        self._limit = limit
        self._known = {OTHER: OTHER}
        for name in known:
            self.label(name)

    def label(self, name: str) -> str:
        label = self._known.get(name)
        if label is not None:
            return label
        if len(self._known) > self._limit:
            return OTHER
        self._known[name] = name
        return name

    def __contains__(self, name: str) -> bool:
        return name in self._known

    @property
    def in_order(self) -> tuple[str, ...]:
        """Without `other`."""
        return tuple(self._known)[1:]

    def __len__(self) -> int:
        return len(self._known) - 1
