"""The coordinator of one class's executors (KIP-848): a partition moves once its holder has given it up, or is gone."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING

from tests.simulation.things.world import World

if TYPE_CHECKING:
    from tests.simulation.things.executor import Executor

SESSION_SECONDS = 10.0


class ExecutorGroup:
    def __init__(self, world: World, timeout_class: str, partitions: int) -> None:
        self._world, self._class, self._partitions = world, timeout_class, partitions
        self.members: dict[int, Executor] = {}
        self.committed: dict[int, int] = defaultdict(int)
        """By partition: the offset below which everything is claimed."""
        self.owned: dict[int, int] = {}
        """Partition -> the member that may read it now."""
        self._target: dict[int, int] = {}
        self._numbers = count(1)

    def join(self, executor: Executor) -> int:
        member = next(self._numbers)
        self.members[member] = executor
        self._plan()
        return member

    def leave(self, member: int) -> None:
        if self.members.pop(member, None) is not None:
            self.owned = {partition: each for partition, each in self.owned.items() if each != member}
            self._plan()

    def suspect(self, executor: Executor) -> None:
        for member, each in self.members.items():
            if each is executor:
                self._world.after(SESSION_SECONDS, self._evict_if_silent, executor, member)

    def _evict_if_silent(self, executor: Executor, member: int) -> None:
        if member in self.members and (not executor.is_alive or executor.is_frozen or executor.is_cut_off):
            self._world.note(f"group {self._class}", f"{executor.name} is no member any more")
            self.leave(member)

    def changes_for(self, member: int) -> tuple[set[int], set[int]]:
        """(to give up, to take) of a member that asks now; what it gives up is free after that."""
        lost = {each for each, owner in self.owned.items() if owner == member and self._target.get(each) != member}
        gained = {each for each, wanted in self._target.items() if wanted == member and each not in self.owned}
        return lost, gained

    def give_up(self, partitions: set[int]) -> None:
        for each in partitions:
            del self.owned[each]
        self._wake()

    def take(self, member: int, partitions: set[int]) -> None:
        self.owned |= dict.fromkeys(partitions, member)

    def commit(self, member: int, offsets: dict[int, int]) -> bool:
        """False: the member is unknown, because it was silent for too long."""
        if member not in self.members:
            return False
        self.committed.update(offsets)
        return True

    def shuffle(self) -> None:
        """A rebalance that moves every partition to the next member."""
        members = sorted(self.members)
        if len(members) > 1:
            self._target = {
                partition: members[(members.index(each) + 1) % len(members)] for partition, each in self._target.items()
            }
            self._wake()

    def forget_offsets(self) -> None:
        """The committed offsets are lost; members go on from where they are."""
        self.committed.clear()

    def _plan(self) -> None:
        members = sorted(self.members)
        keep = {each: owner for each, owner in self._target.items() if owner in self.members}
        counts = dict.fromkeys(members, 0)
        target: dict[int, int] = {}
        for partition in range(self._partitions):
            wanted = keep.get(partition)
            if wanted is None or counts[wanted] >= -(-self._partitions // len(members)):
                wanted = min(members, key=lambda each: (counts[each], each), default=None)
            if wanted is not None:
                target[partition], counts[wanted] = wanted, counts[wanted] + 1
        self._target = target
        self._wake()

    def _wake(self) -> None:
        for executor in self.members.values():
            executor.wake_claimer(self._class)
