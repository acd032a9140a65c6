"""A stream worker: the holders of its partitions, and what Faust and the holders tell each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from schemas.settings import Connections
from schemas.topics import check_partitions
from streams.clock import WorkerClock
from streams.core.inputs import HeartbeatHeard
from streams.forward import Forwarder
from streams.groups import Groups
from streams.heartbeats import Heartbeats
from streams.holder import Holder, Parts, Resync
from streams.log import OwnerLog
from streams.owner.intake import INPUT_TOPICS
from streams.owner.records import InRecord
from streams.settings import StreamSettings

log = structlog.get_logger()

JOIN_SECONDS = 10.0
START_SECONDS = 30.0


class Worker:
    """Thread-safe: Faust calls from its loop, holders from their threads."""

    def __init__(
        self,
        connections: Connections,
        settings: StreamSettings,
        on_committed: Callable[[int, dict[str, int]], None],
        on_crashed: Callable[[], None],
    ) -> None:
        self._lock = threading.Lock()
        self._holders: dict[int, Holder] = {}
        self._recovered: set[int] = set()
        self._applied: dict[tuple[str, int], int] = {}
        self._on_committed = on_committed
        self._ready_file = settings.ready_file
        self._heartbeats = Heartbeats(connections, settings.worker_id, self._hear, on_crashed)
        clock = WorkerClock()
        groups = Groups(connections, settings.stream_group, settings.worker_id)
        forwarder = Forwarder(connections)

        def open_log(partition: int) -> OwnerLog:
            transactional_id = f"{settings.stream_group}-{partition}"
            return OwnerLog(connections, partition, transactional_id, clock, groups, forwarder)

        self._parts = Parts(
            rules=settings.rules(connections),
            partitions=connections.partitions,
            clock=clock,
            groups=groups,
            open_log=open_log,
            topic_ids=check_topics(connections),
            heartbeats_read=self._heartbeats.read,
            on_committed=self._committed,
            on_recovered=self._note_recovered,
            on_failed=self._note_failed,
            on_crashed=on_crashed,
        )

    def start(self) -> None:
        self._heartbeats.start()

    def assign(self, partitions: Iterable[int]) -> None:
        """What the group has given this worker: new holders begin, kept ones look for gaps, the others stop."""
        wanted = set(partitions)
        with self._lock:
            lost = [self._holders.pop(each) for each in set(self._holders) - wanted]
            self._recovered &= wanted
            for partition in wanted:
                holder = self._holders.get(partition)
                if holder is not None and holder.is_alive():
                    holder.inbox.put(Resync())
                else:
                    self._holders[partition] = self._begin(partition)
        for holder in lost:
            holder.stop()
        log.info("assigned", partitions=sorted(wanted), lost=[each.partition for each in lost])

    def deliver(self, partition: int, record: InRecord) -> int:
        """Returns how many inputs wait at the holder. Without a holder the record is read again by the next one."""
        holder = self._holders.get(partition)
        if holder is None:
            return 0
        holder.inbox.put(record)
        return holder.inbox.qsize()

    def applied(self) -> dict[tuple[str, int], int]:
        """The last applied offset that is committed, by (topic, partition) of the partitions held."""
        with self._lock:
            return {where: offset for where, offset in self._applied.items() if where[1] in self._holders}

    def unrecovered(self) -> set[int]:
        """The partitions held that have no owner at this moment."""
        with self._lock:
            return set(self._holders) - self._recovered

    def stop(self) -> None:
        with self._lock:
            holders = list(self._holders.values())
            self._holders.clear()
        for holder in holders:
            holder.stop()
        for holder in holders:
            holder.join(JOIN_SECONDS)
        self._heartbeats.stop()

    def _begin(self, partition: int) -> Holder:
        holder = Holder(partition, self._parts)
        for heard in self._heartbeats.latest():
            holder.inbox.put(heard)
        holder.start()
        return holder

    def _hear(self, heard: HeartbeatHeard) -> None:
        with self._lock:
            for holder in self._holders.values():
                holder.inbox.put(heard)

    def _committed(self, partition: int, applied: dict[str, int]) -> None:
        with self._lock:
            self._applied.update({(topic, partition): offset for topic, offset in applied.items()})
        self._on_committed(partition, applied)

    def _note_recovered(self, partition: int) -> None:
        with self._lock:
            self._recovered.add(partition)
            is_ready = self._recovered >= set(self._holders)
        if is_ready:
            _touch(self._ready_file)

    def _note_failed(self, partition: int) -> None:
        with self._lock:
            self._recovered.discard(partition)


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


def _touch(path: Path | None) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
