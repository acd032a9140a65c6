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
from streams.heartbeats import Heartbeats
from streams.holder import Delivered, Holder, Parts
from streams.log import OwnerLog
from streams.membership import Membership
from streams.owner.calls import Resync, Undelivered
from streams.owner.holdings import Holder as HolderId
from streams.owner.holdings import Holdings
from streams.owner.intake import INPUT_TOPICS
from streams.owner.roll import Roll
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
        self._holdings, self._roll = Holdings(), Roll()
        self._holders: dict[HolderId, Holder] = {}
        self._is_leaving = False
        self._ready_file = settings.ready_file
        self._heartbeats = Heartbeats(connections, name, self._hear, self._note_read, self.deliver, on_crashed)
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
            holdings=self._holdings,
            roll=self._roll,
            turns=threading.Semaphore(TAKEOVERS_AT_ONCE),
            lock=self._lock,
            on_committed=on_committed,
            on_recovered=self._tell_ready,
            on_gone=self._forget,
            on_crashed=on_crashed,
        )

    def start(self) -> None:
        self._parts.clock.start()
        self._heartbeats.start()

    def assign(self, partitions: Collection[int]) -> None:
        """What the group has given this worker: new holders begin, kept ones look for gaps, the others hand over."""
        with self._lock:
            if self._is_leaving:
                return  # the group decided before it heard that this worker leaves
            assigned = self._holdings.assign(partitions)
            for number in assigned.kept:
                self._holders[number].inbox.put(Resync())
            lost = [self._holders[number] for number in assigned.lost if number in self._holders]
            begun = {number: Holder(number, where, self._parts) for number, where in assigned.begun.items()}
            self._holders |= begun
        for holder in lost:
            holder.hand_over()
        for holder in begun.values():
            holder.start()
        log.info("assigned", partitions=sorted(partitions), lost=[each.partition for each in lost])

    def stop_delivery(self) -> None:
        """Until the next assignment the holders read for themselves."""
        with self._lock:
            for holder in self._holders.values():
                holder.inbox.put(Undelivered())

    def deliver(self, partition: int, item: Delivered) -> None:
        """Without a holder a record is read by the next one."""
        with self._lock:
            holder = self._holder_of(partition)
        if holder is not None:
            holder.inbox.put(item)

    def applied(self) -> dict[tuple[str, int], int]:
        """The last applied offset that is committed, by (topic, partition) of the partitions held."""
        with self._lock:
            return self._holdings.applied()

    def recovering(self) -> dict[int, int]:
        """The partitions in which nothing is decided at this moment, with how far each recovery has come."""
        with self._lock:
            found = {where: self._holders.get(number) for where, number in self._holdings.unrecovered().items()}
            return {partition: holder.progress if holder else 0 for partition, holder in found.items()}

    def hand_over(self) -> None:
        """Decide until other workers take the partitions over. This worker leaves the group meanwhile."""
        with self._lock:
            self._is_leaving = True
            for number in self._holdings.clear():
                self._holders[number].hand_over()

    def wait_handed_over(self) -> None:
        """Until each partition is taken over, or no worker is in the group that could."""
        with contextlib.suppress(LogUnreachableError):
            while self._has_holders() and not self._parts.groups.is_empty():
                time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        with self._lock:
            self._is_leaving = True
            self._holdings.clear()
            holders, self._holders = list(self._holders.values()), {}
        for holder in holders:
            holder.stop()
        for holder in holders:
            holder.join(JOIN_SECONDS)
        self._heartbeats.stop()
        self._parts.clock.stop()

    def _has_holders(self) -> bool:
        with self._lock:
            return bool(self._holders)

    def _holder_of(self, partition: int) -> Holder | None:
        number = self._holdings.holder_of(partition)
        return None if number is None else self._holders.get(number)

    def _forget(self, number: HolderId) -> None:
        with self._lock:
            self._holders.pop(number, None)

    def _hear(self, heard: HeartbeatHeard) -> None:
        with self._lock:
            self._roll.hear(heard)
            for holder in self._holders.values():
                holder.inbox.put(heard)

    def _note_read(self, positions: Mapping[int, int]) -> None:
        with self._lock:
            self._roll.note(positions)

    def _tell_ready(self) -> None:
        with self._lock:
            if not self._holdings.unrecovered():
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
