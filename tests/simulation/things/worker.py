"""A stream worker: its partitions, its place in the group, what is delivered to it, and its watchdog."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

from schemas.codec import decode
from schemas.heartbeat import Heartbeat
from schemas.topics import CDC, EVENTS, EXECUTORS, REQUESTS
from streams.core.inputs import HeartbeatHeard
from streams.owner.assignments import AssignmentId, Assignments
from streams.owner.intake import INPUT_TOPICS
from streams.owner.known_heartbeats import KnownHeartbeats
from streams.owner.session_calls import DeliveryStopped, Resync
from streams.owner.stall_detector import Observation, StallDetector
from tests.simulation.things.brokers import Log
from tests.simulation.things.clock import SimulatedClock
from tests.simulation.things.owner_log import in_record
from tests.simulation.things.partition import CallFault, Partition
from tests.simulation.things.world import Process

if TYPE_CHECKING:
    from tests.simulation.things.deployment import Deployment

WATCH_SECONDS = 20.0
STALL_LIMIT = timedelta(seconds=120)


class Worker(Process):
    def __init__(self, deployment: Deployment, name: str) -> None:
        super().__init__(deployment.world, name)
        self.deployment = deployment
        self.clock = SimulatedClock(self, deployment.brokers)
        self.core, self.release = deployment.core, deployment.releases.get(name, "")
        """As they are when it starts (protocol O11)."""
        self.assignments, self.known = Assignments(), KnownHeartbeats()
        self.topic_ids = {topic: deployment.brokers.topic_id(topic) for topic in INPUT_TOPICS}
        self.member_id = ""
        self._partitions: dict[AssignmentId, Partition] = {}
        self._positions: dict[tuple[str, int], int] = {}
        """The next offset to deliver."""
        self._due: set[tuple[str, int]] = set()
        self._is_delivering = self._is_leaving = False
        self.skips_until = self.delays_until = 0.0
        """Until then, deliveries are skipped, or late."""
        self.call_faults: dict[str, deque[tuple[int, CallFault]]] = {}
        """By name of the call: (calls until then, fault), in order."""
        self._watchdog = StallDetector(STALL_LIMIT)

    def start(self) -> None:
        self.world.note(self.name, "starts")
        self.clock.start_asking()
        for partition in range(self.deployment.partitions):
            self._positions[EXECUTORS, partition] = self.deployment.brokers.log(EXECUTORS, partition).first
            self.notice(self.deployment.brokers.log(EXECUTORS, partition))
        self.member_id = self.deployment.stream_group.join(self)
        self.after(WATCH_SECONDS, self._watch)

    def arm(self, call: str, number: int, fault: CallFault) -> None:
        """The fault comes at the call number `number` of this name, counted from now or from the fault before."""
        self.call_faults.setdefault(call, deque()).append((number, fault))

    def fault_at(self, call: str) -> CallFault | None:
        armed = self.call_faults.get(call)
        if not armed:
            return None
        number, fault = armed[0]
        if number > 1:
            armed[0] = number - 1, fault
            return None
        armed.popleft()
        return fault

    # The end

    def die(self) -> None:
        """A crash, or kill -9."""
        if self.is_alive:
            self.kill()
            self.deployment.stream_group.suspect(self)
            self.deployment.restart_worker_later(self)

    def crash(self) -> None:
        self.world.note(self.name, "ends with an error")
        self.die()

    def leave(self) -> None:
        """A planned stop: others take its partitions over while it still decides."""
        self.world.note(self.name, "is stopped as planned")
        self._is_leaving = True
        for each in self.assignments.clear():
            self._partitions[each].start_handover()
        self.deployment.stream_group.leave(self.member_id)
        self._wait_for_handover()

    def _wait_for_handover(self) -> None:
        if self._partitions and self.deployment.stream_group.members:
            self.after(0.5, self._wait_for_handover)
        else:
            self.die()

    # The group

    def stop_delivery(self) -> None:
        self._is_delivering = False
        for each in self._partitions.values():
            each.deliver(DeliveryStopped())

    def on_assigned(self, partitions: list[int], generation: int) -> None:
        group = self.deployment.stream_group
        if self._is_leaving or self.member_id not in group.members or not group.is_current(generation):
            return
        change = self.assignments.assign(partitions)
        self._is_delivering = True
        for kept in change.kept:
            self._partitions[kept].deliver(Resync())
        added = {each: Partition(self, each, number) for each, number in change.added.items()}
        for lost in change.lost:
            if lost in self._partitions:
                self._partitions[lost].start_handover()
        self._partitions |= added
        for number in partitions:
            for topic in (CDC, EVENTS, REQUESTS):
                self._positions[topic, number] = self.deployment.brokers.log(topic, number).stable_end()
        for each in added.values():
            each.start()

    def check_membership(self) -> None:
        """After a silence: the coordinator does not know this member any more, so it joins again, or ends."""
        group = self.deployment.stream_group
        if self._is_leaving or self.member_id in group.members:
            return
        if any(each.name == self.name for each in group.members.values()):
            self.world.note(self.name, "ends: another process has its name")
            self.kill()
            return
        self.world.note(self.name, "joins the group again")
        self.member_id = group.join(self)

    def partitions(self) -> list[Partition]:
        return list(self._partitions.values())

    def forget(self, assignment_id: AssignmentId) -> None:
        self._partitions.pop(assignment_id, None)

    # Delivery

    def notice(self, log: Log) -> None:
        """Something may have been appended."""
        where = log.topic, log.partition
        if where not in self._due and (log.topic == EXECUTORS or self._partition_of(log.partition) is not None):
            self._due.add(where)
            late = 10 * self.world.random.random() if self.delays_until > self.world.now else 0.0
            self.after(0.003 + late, self._deliver, where)

    def _deliver(self, where: tuple[str, int]) -> None:
        brokers, (topic, number) = self.deployment.brokers, where
        if self.is_cut_off or brokers.are_down:
            self.after(1.0, self._deliver, where)
            return
        self._due.discard(where)
        log = brokers.log(topic, number)
        end = log.stable_end()
        start = self._positions.get(where, end)
        if topic == EXECUTORS:
            self._hear(log, start, end)
            return
        partition = self._partition_of(number)
        if partition is None or not self._is_delivering:
            return
        self._positions[where] = max(start, end)
        if self.skips_until > self.world.now:
            return
        for stored in log.read(start, end):
            partition.deliver(in_record(topic, stored))

    def _hear(self, log: Log, start: int, end: int) -> None:
        for stored in log.read(start, end):
            if stored.value is None:
                continue
            if stored.decoded is None:
                heartbeat = decode(stored.value, Heartbeat)
                stored.decoded = HeartbeatHeard(heartbeat=heartbeat, appended_at=stored.at)
            heard = stored.decoded
            assert isinstance(heard, HeartbeatHeard)
            self.known.note(heard)
            for each in self._partitions.values():
                each.deliver(heard)
        self._positions[log.topic, log.partition] = end
        self.known.note_positions({log.partition: end})

    def _partition_of(self, number: int) -> Partition | None:
        found = self.assignments.id_of(number)
        return None if found is None else self._partitions.get(found)

    # The watchdog

    def _watch(self) -> None:
        self.after(WATCH_SECONDS, self._watch)
        brokers = self.deployment.brokers
        if self.is_cut_off or brokers.are_down:
            self._watchdog.reset()
            return
        applied = self.assignments.applied()
        unrecovered = self.assignments.unrecovered()
        recovering = {number: self._partitions[each].progress for number, each in unrecovered.items()}
        wanted = {*applied, *((CDC, partition) for partition in recovering)}
        ends = {(topic, number): brokers.log(topic, number).stable_end() for topic, number in wanted}
        seen = Observation(boot_seconds=self.world.boot(), applied=applied, ends=ends, recovering=recovering)
        checking = self._watchdog.check(seen)
        try:
            probe = next(checking)
            while True:
                log = brokers.log(*probe.where)
                probe = checking.send(bool(log.read(probe.after + 1, log.stable_end(), 1)))
        except StopIteration as over:
            if over.value:
                self.world.note(self.name, f"its watchdog ends it: {over.value}")
                self.world.coverage["watchdog", "ends a worker"] += 1
                self.die()
