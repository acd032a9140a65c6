"""Which holder has which partition, and what each of them has reached: the worker's memory, without threads or I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

Holder = int
"""A number that names one holder: a partition that comes back gets another one."""


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """What an assignment changes."""

    begun: dict[Holder, int]
    """New holders, with the partition of each."""
    kept: tuple[Holder, ...]
    """Their deliveries may have been skipped during the rebalance."""
    lost: tuple[Holder, ...]
    """They hand over."""


@dataclass(slots=True)
class _Held:
    holder: Holder
    was_assigned_again: bool = False
    """Since the holder last asked the coordinator whether the partition is its own."""
    is_recovered: bool = False
    applied: dict[str, int] = field(default_factory=dict)
    """By input topic: the last offset whose effects are committed."""


class Holdings:
    """A holder's word counts while it is the holder of its partition; a late word of an earlier holder does not."""

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}
        self._next: Holder = 0

    def assign(self, wanted: Iterable[int]) -> Assigned:
        """The group has given these partitions to this worker, and no others."""
        wanted = set(wanted)
        lost = tuple(self._held.pop(each).holder for each in sorted(set(self._held) - wanted))
        kept = tuple(each.holder for each in self._held.values())
        for each in self._held.values():
            each.was_assigned_again = True
        begun: dict[Holder, int] = {}
        for partition in sorted(wanted - set(self._held)):
            self._held[partition] = _Held(self._next)
            begun[self._next] = partition
            self._next += 1
        return Assigned(begun=begun, kept=kept, lost=lost)

    def ask(self, partition: int, holder: Holder) -> None:
        """The holder asks the coordinator now; an assignment after this is newer than the answer."""
        held = self._of(partition, holder)
        if held:
            held.was_assigned_again = False

    def leave(self, partition: int, holder: Holder) -> bool:
        """The coordinator says that the partition is somebody else's. False: it was assigned again in the meantime."""
        held = self._of(partition, holder)
        if held is None:
            return True
        if held.was_assigned_again:
            return False
        del self._held[partition]
        return True

    def recover(self, partition: int, holder: Holder) -> None:
        held = self._of(partition, holder)
        if held:
            held.is_recovered = True

    def fail(self, partition: int, holder: Holder) -> None:
        held = self._of(partition, holder)
        if held:
            held.is_recovered = False
            held.applied.clear()  # the next owner says how far it is; until then only its recovery counts

    def apply(self, partition: int, holder: Holder, applied: dict[str, int]) -> None:
        held = self._of(partition, holder)
        if held:
            held.applied |= applied

    def holder_of(self, partition: int) -> Holder | None:
        held = self._held.get(partition)
        return held.holder if held else None

    def clear(self) -> tuple[Holder, ...]:
        """The worker ends; returns the holders that it had."""
        return self.assign(()).lost

    def applied(self) -> dict[tuple[str, int], int]:
        """The last applied offset that is committed, by (topic, partition) of the partitions held."""
        return {(topic, p): offset for p, held in self._held.items() for topic, offset in held.applied.items()}

    def unrecovered(self) -> dict[int, Holder]:
        """The partitions held in which nothing is decided at this moment."""
        return {p: held.holder for p, held in self._held.items() if not held.is_recovered}

    def _of(self, partition: int, holder: Holder) -> _Held | None:
        held = self._held.get(partition)
        return held if held and held.holder == holder else None
