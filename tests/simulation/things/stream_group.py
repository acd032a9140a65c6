"""The coordinator of the stream workers' group: members by id, sessions that time out, rebalances."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from tests.simulation.things.world import World

if TYPE_CHECKING:
    from tests.simulation.things.worker import Worker

SESSION_SECONDS = 6.0
SHORTEST_REBALANCE, LONGEST_REBALANCE = 0.2, 3.0


class StreamGroup:
    def __init__(self, world: World, partitions: int) -> None:
        self._world, self._partitions = world, partitions
        self.members: dict[str, Worker] = {}
        """By member id."""
        self.assigned: dict[int, str] = {}
        """Partition -> member id."""
        self.is_stable = False
        self.changed_at = 0.0
        """When the group last agreed on an assignment."""
        self._numbers, self._generation = count(1), 0

    def join(self, worker: Worker) -> str:
        """A member with the name of another one takes its place, without a rebalance (static membership)."""
        member_id = f"{worker.name}/{next(self._numbers)}"
        before = next((each for each, known in self.members.items() if known.name == worker.name), None)
        if before is None:
            self.members[member_id] = worker
            self._rebalance()
            return member_id
        del self.members[before]
        self.members[member_id] = worker
        held = [partition for partition, each in self.assigned.items() if each == before]
        self.assigned |= dict.fromkeys(held, member_id)
        if self.is_stable:
            worker.after(self._world.latency(), worker.on_assigned, held, self._generation)
        return member_id

    def leave(self, member_id: str) -> None:
        if self.members.pop(member_id, None) is not None:
            self._world.note("stream group", f"{member_id} leaves")
            self._rebalance()

    def suspect(self, worker: Worker) -> None:
        """The worker is silent from now on; after the session timeout it is no member any more."""
        self._world.after(SESSION_SECONDS, self._evict_if_silent, worker, worker.member_id)

    def _evict_if_silent(self, worker: Worker, member_id: str) -> None:
        is_silent = not worker.is_alive or worker.is_frozen or worker.is_cut_off
        if is_silent and self.members.get(member_id) is worker:
            self.leave(member_id)

    def rebalance(self) -> None:
        """As when a member joins or leaves for a moment."""
        self._rebalance()

    def holds(self, partition: int, member_id: str) -> bool | None:
        if not self.is_stable or not member_id:
            return None
        return member_id in self.members and self.assigned.get(partition) == member_id

    def _rebalance(self) -> None:
        self._generation += 1
        self.is_stable = False
        for worker in self.members.values():
            worker.after(self._world.latency(), worker.stop_delivery)
        length = SHORTEST_REBALANCE + (LONGEST_REBALANCE - SHORTEST_REBALANCE) * self._world.random.random()
        self._world.after(length, self._agree, self._generation)

    def _agree(self, generation: int) -> None:
        if generation != self._generation or not self.members:
            return
        self.is_stable, self.changed_at = True, self._world.now
        self.assigned = self._balanced()
        self._world.note("stream group", f"agrees: {self.assigned}")
        for member_id, worker in self.members.items():
            held = [partition for partition, each in self.assigned.items() if each == member_id]
            worker.after(self._world.latency(), worker.on_assigned, held, generation)

    def _balanced(self) -> dict[int, str]:
        """Each member keeps what it has, up to its share."""
        most = -(-self._partitions // len(self.members))
        counts = dict.fromkeys(self.members, 0)
        assigned: dict[int, str] = {}
        for partition, member_id in self.assigned.items():
            if member_id in counts and counts[member_id] < most:
                assigned[partition], counts[member_id] = member_id, counts[member_id] + 1
        for partition in range(self._partitions):
            if partition not in assigned:
                member_id = min(counts, key=lambda each: (counts[each], each))
                assigned[partition], counts[member_id] = member_id, counts[member_id] + 1
        return assigned

    def is_current(self, generation: int) -> bool:
        return generation == self._generation
