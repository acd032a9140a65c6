"""A stream worker: the holders of its partitions, and what Faust and the holders tell each other."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping

import structlog
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from schemas.ready_file import tell_ready
from schemas.settings import Connections
from schemas.topics import check_partitions
from streams.clock import cluster_clock
from streams.core.inputs import HeartbeatHeard
from streams.core.policy.rules import Rules
from streams.forward import Forwarder
from streams.groups import Groups, LogUnreachableError
from streams.heartbeat_reader import HeartbeatReader
from streams.membership import Membership
from streams.owner.assignments import AssignmentId, Assignments
from streams.owner.intake import INPUT_TOPICS
from streams.owner.known_heartbeats import KnownHeartbeats
from streams.owner.session_calls import DeliveryStopped, Resync
from streams.owner_log import OwnerLog
from streams.partition_thread import Delivered, PartitionThread, Parts
from streams.settings import StreamSettings

log = structlog.get_logger()

JOIN_SECONDS = 10.0
START_SECONDS = 30.0
TAKEOVERS_AT_ONCE = 2
"""Most of a takeover is work of the interpreter, which does one at a time; the other one waits for the brokers."""
LOOK_SECONDS = 0.1


class Worker:
    """Thread-safe: Faust calls from its loop, holders from their threads."""

    def __init__(
        self,
        connections: Connections,
        settings: StreamSettings,
        rules: Rules,
        name: str,
        on_committed: Callable[[int, dict[str, int]], None],
        on_crashed: Callable[[], None],
    ) -> None:
        self._lock = threading.Lock()
        self._assignments, self._known_heartbeats = Assignments(), KnownHeartbeats()
        self._threads: dict[AssignmentId, PartitionThread] = {}
        self._is_leaving = False
        self._ready_file = settings.ready_file
        self._reader = HeartbeatReader(connections, name, self._on_heartbeat, self._on_read, self.deliver, on_crashed)
        clock = cluster_clock(connections)
        groups = Groups(connections, settings.stream_group, name)
        self.membership = Membership(groups, on_crashed)

        def open_log(partition: int) -> OwnerLog:
            return OwnerLog(connections, partition, f"{settings.stream_group}-{partition}", clock, groups)

        self._parts = Parts(
            rules=rules,
            partitions=connections.partitions,
            clock=clock,
            groups=groups,
            member_id=lambda: self.membership.member_id,
            open_log=open_log,
            forward=Forwarder(connections).forward,
            topic_ids=check_topics(connections),
            assignments=self._assignments,
            heartbeats=self._known_heartbeats,
            turns=threading.Semaphore(TAKEOVERS_AT_ONCE),
            lock=self._lock,
            on_committed=on_committed,
            on_recovered=self._tell_ready,
            on_gone=self._forget,
            on_crashed=on_crashed,
        )

    def start(self) -> None:
        self._parts.clock.start()
        self._reader.start()

    def assign(self, partitions: Collection[int]) -> None:
        """What the group has given this worker: new holders begin, kept ones look for gaps, the others hand over."""
        with self._lock:
            if self._is_leaving:
                return  # the group decided before it heard that this worker leaves
            assigned = self._assignments.assign(partitions)
            for number in assigned.kept:
                self._threads[number].inbox.put(Resync())
            lost = [self._threads[number] for number in assigned.lost if number in self._threads]
            begun = {number: PartitionThread(number, where, self._parts) for number, where in assigned.added.items()}
            self._threads |= begun
        for holder in lost:
            holder.start_handover()
        for holder in begun.values():
            holder.start()
        log.info("assigned", partitions=sorted(partitions), lost=[each.partition for each in lost])

    def stop_delivery(self) -> None:
        """Until the next assignment the holders read for themselves."""
        with self._lock:
            for holder in self._threads.values():
                holder.inbox.put(DeliveryStopped())

    def deliver(self, partition: int, item: Delivered) -> None:
        """Without a holder a record is read by the next one."""
        with self._lock:
            holder = self._thread_of(partition)
        if holder is not None:
            holder.inbox.put(item)

    def applied(self) -> dict[tuple[str, int], int]:
        """The last applied offset that is committed, by (topic, partition) of the partitions held."""
        with self._lock:
            return self._assignments.applied()

    def recovering(self) -> dict[int, int]:
        """The partitions in which nothing is decided at this moment, with how far each recovery has come."""
        with self._lock:
            found = {where: self._threads.get(number) for where, number in self._assignments.unrecovered().items()}
            return {partition: holder.progress if holder else 0 for partition, holder in found.items()}

    def start_handover(self) -> None:
        """Decide until other workers take the partitions over. This worker leaves the group meanwhile."""
        with self._lock:
            self._is_leaving = True
            for number in self._assignments.clear():
                self._threads[number].start_handover()

    def wait_for_handover(self) -> None:
        """Until each partition is taken over, or no worker is in the group that could."""
        with contextlib.suppress(LogUnreachableError):
            while self._has_threads() and not self._parts.groups.is_empty():
                time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        with self._lock:
            self._is_leaving = True
            self._assignments.clear()
            holders, self._threads = list(self._threads.values()), {}
        for holder in holders:
            holder.stop()
        for holder in holders:
            holder.join(JOIN_SECONDS)
        self._reader.stop()
        self._parts.clock.stop()

    def _has_threads(self) -> bool:
        with self._lock:
            return bool(self._threads)

    def _thread_of(self, partition: int) -> PartitionThread | None:
        number = self._assignments.id_of(partition)
        return None if number is None else self._threads.get(number)

    def _forget(self, number: AssignmentId) -> None:
        with self._lock:
            self._threads.pop(number, None)

    def _on_heartbeat(self, heard: HeartbeatHeard) -> None:
        with self._lock:
            self._known_heartbeats.note(heard)
            for holder in self._threads.values():
                holder.inbox.put(heard)

    def _on_read(self, positions: Mapping[int, int]) -> None:
        with self._lock:
            self._known_heartbeats.note_positions(positions)

    def _tell_ready(self) -> None:
        with self._lock:
            if not self._assignments.unrecovered():
                tell_ready(self._ready_file, os.getpid())


def check_topics(connections: Connections) -> dict[str, str]:
    """The ids of the input topics. Raises `TopicMismatchError`: N is chosen once (protocol O2)."""
    names = {connections.topic(name): name for name in INPUT_TOPICS}
    admin = AdminClient(connections.kafka())  # held until the answers are there
    futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=START_SECONDS)
    ids: dict[str, str] = {}
    for full_name, future in futures.items():
        description = future.result(START_SECONDS)
        check_partitions(full_name, len(description.partitions), connections.partitions)
        ids[names[full_name]] = str(description.topic_id)
    return ids
