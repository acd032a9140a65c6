"""A worker's assigned partitions: the thread of each, and what it has reached. No threads and no I/O here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

AssignmentId = int
"""Names one thread: a partition that is assigned again after a loss gets a new number."""


class AssignmentChange(msgspec.Struct, frozen=True, kw_only=True):
    """The difference between two assignments."""

    added: dict[AssignmentId, int]
    """The partition of each new thread."""
    kept: tuple[AssignmentId, ...]
    """Their deliveries may have been skipped during the rebalance."""
    lost: tuple[AssignmentId, ...]
    """Their threads start the handover."""


@dataclass(slots=True)
class _Assignment:
    id: AssignmentId
    was_assigned_again: bool = False
    """After the thread last asked the coordinator whether the partition is assigned to it."""
    is_recovered: bool = False
    applied: dict[str, int] = field(default_factory=dict)
    """By input topic: the last offset whose effects are committed."""


class Assignments:
    """Ignores a late call of a thread that has lost its partition."""

    def __init__(self) -> None:
        self._by_partition: dict[int, _Assignment] = {}
        self._next_id: AssignmentId = 0

    def assign(self, wanted: Iterable[int]) -> AssignmentChange:
        """The group has given exactly these partitions to this worker."""
        wanted = set(wanted)
        lost = tuple(self._by_partition.pop(each).id for each in sorted(set(self._by_partition) - wanted))
        kept = tuple(each.id for each in self._by_partition.values())
        for each in self._by_partition.values():
            each.was_assigned_again = True
        added: dict[AssignmentId, int] = {}
        for partition in sorted(wanted - set(self._by_partition)):
            self._by_partition[partition] = _Assignment(self._next_id)
            added[self._next_id] = partition
            self._next_id += 1
        return AssignmentChange(added=added, kept=kept, lost=lost)

    def note_check(self, partition: int, assignment_id: AssignmentId) -> None:
        """The thread asks the coordinator now; an assignment after this call is newer than the answer."""
        assignment = self._find(partition, assignment_id)
        if assignment:
            assignment.was_assigned_again = False

    def release(self, partition: int, assignment_id: AssignmentId) -> bool:
        """The coordinator has assigned the partition to another worker. False: it came back in the meantime."""
        assignment = self._find(partition, assignment_id)
        if assignment is None:
            return True
        if assignment.was_assigned_again:
            return False
        del self._by_partition[partition]
        return True

    def note_recovered(self, partition: int, assignment_id: AssignmentId) -> None:
        assignment = self._find(partition, assignment_id)
        if assignment:
            assignment.is_recovered = True

    def note_failed(self, partition: int, assignment_id: AssignmentId) -> None:
        assignment = self._find(partition, assignment_id)
        if assignment:
            assignment.is_recovered = False
            assignment.applied.clear()  # the watchdog observes only the recovery until the next owner commits

    def note_applied(self, partition: int, assignment_id: AssignmentId, applied: dict[str, int]) -> None:
        assignment = self._find(partition, assignment_id)
        if assignment:
            assignment.applied |= applied

    def id_of(self, partition: int) -> AssignmentId | None:
        assignment = self._by_partition.get(partition)
        return assignment.id if assignment else None

    def clear(self) -> tuple[AssignmentId, ...]:
        """The worker ends. Returns the ids of its threads."""
        return self.assign(()).lost

    def applied(self) -> dict[tuple[str, int], int]:
        """The last applied offset that is committed, by (topic, partition) of the assigned partitions."""
        return {(topic, p): offset for p, each in self._by_partition.items() for topic, offset in each.applied.items()}

    def unrecovered(self) -> dict[int, AssignmentId]:
        """The assigned partitions whose owner decides nothing at this moment."""
        return {p: each.id for p, each in self._by_partition.items() if not each.is_recovered}

    def _find(self, partition: int, assignment_id: AssignmentId) -> _Assignment | None:
        assignment = self._by_partition.get(partition)
        return assignment if assignment and assignment.id == assignment_id else None
