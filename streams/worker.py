"""A stream worker: starts and stops a thread for each of its partitions, and passes on what they and Faust receive."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping

import structlog
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from schemas.kept_clock import KeptClock
from schemas.ready_file import write_ready_file
from schemas.settings import Connections
from schemas.topics import check_partitions
from streams.clock import cluster_clock
from streams.core.inputs import HeartbeatHeard
from streams.core.settings import CoreSettings
from streams.forward import Forwarder
from streams.groups import Groups, LogUnreachableError
from streams.heartbeat_reader import HeartbeatReader
from streams.membership import Membership
from streams.metrics import CLOCK_LIMIT, Readiness, Shown, StreamMetrics
from streams.owner.assignments import AssignmentId, Assignments
from streams.owner.intake import INPUT_TOPICS
from streams.owner.known_heartbeats import KnownHeartbeats
from streams.owner.session_calls import DeliveryStopped, Resync
from streams.owner.stall_detector import Observation
from streams.owner_log import OwnerLog
from streams.partition_thread import Delivered, PartitionThread, WorkerContext
from streams.settings import StreamSettings

log = structlog.get_logger()

JOIN_SECONDS = 10.0
START_SECONDS = 30.0
TAKEOVERS_AT_ONCE = 2
"""A takeover mostly needs the interpreter, which serves one at a time; a second one can wait for the brokers."""
CHECK_SECONDS = 0.1


class Worker:
    """Thread-safe: Faust calls from its loop, and the partition threads call too."""

    def __init__(
        self,
        connections: Connections,
        settings: StreamSettings,
        core_settings: CoreSettings,
        name: str,
        on_committed: Callable[[int, dict[str, int]], None],
        on_crashed: Callable[[], None],
        metrics: StreamMetrics,
    ) -> None:
        self._lock = threading.Lock()
        self._assignments, self._known_heartbeats = Assignments(), KnownHeartbeats()
        self._threads: dict[AssignmentId, PartitionThread] = {}
        self._is_leaving, self._ready_file = False, settings.ready_file
        self.health, self._readiness = metrics.health, Readiness(metrics.health)
        self._reader = HeartbeatReader(
            connections, name, self._on_heartbeat, self._on_read, self.deliver, on_crashed, self.health
        )
        clock, groups = cluster_clock(connections), Groups(connections, settings.stream_group, name)
        self.membership = Membership(groups, on_crashed)
        self._context = WorkerContext(
            core_settings=core_settings,
            partitions=connections.partitions,
            clock=clock,
            groups=groups,
            member_id=lambda: self.membership.member_id,
            open_log=_opener(connections, settings.stream_group, clock, groups),
            forward=Forwarder(connections).forward,
            topic_ids=check_topics(connections),
            assignments=self._assignments,
            heartbeats=self._known_heartbeats,
            turns=threading.Semaphore(TAKEOVERS_AT_ONCE),
            lock=self._lock,
            metrics=metrics,
            on_committed=on_committed,
            on_recovered=self._tell_ready,
            on_failed=self._tell_health,
            on_gone=self._forget,
            on_crashed=on_crashed,
        )

    def start(self) -> None:
        clock = self._context.clock
        self._context.metrics.show(self.shown, clock)
        clock.start(self.health.loop("clock", CLOCK_LIMIT).turn)
        self._reader.start()

    def assign(self, partitions: Collection[int]) -> None:
        """Apply the assignment of the group: start added threads, make kept ones read the gap, hand lost ones over."""
        with self._lock:
            if self._is_leaving:
                return  # the group decided before it received this worker's leave request
            change = self._assignments.assign(partitions)
            for kept in change.kept:
                self._threads[kept].inbox.put(Resync())
            lost = [self._threads[each] for each in change.lost if each in self._threads]
            added = {each: PartitionThread(each, partition, self._context) for each, partition in change.added.items()}
            self._threads |= added
            self._readiness.is_assigned = True
        self._tell_health()
        for thread in lost:
            thread.start_handover()
        for thread in added.values():
            thread.start()
        log.info("assigned", partitions=sorted(partitions), lost=[each.partition for each in lost])

    def stop_delivery(self) -> None:
        """Until the next assignment the threads read the input topics themselves."""
        with self._lock:
            for thread in self._threads.values():
                thread.inbox.put(DeliveryStopped())

    def deliver(self, partition: int, item: Delivered) -> None:
        """A record without a thread is dropped: the partition's next thread reads it."""
        with self._lock:
            thread = self._thread_of(partition)
        if thread is not None:
            thread.inbox.put(item)

    def applied(self) -> dict[tuple[str, int], int]:
        """The last applied offset that is committed, by (topic, partition) of the assigned partitions."""
        with self._lock:
            return self._assignments.applied()

    def recovering(self) -> dict[int, int]:
        """The progress of each partition whose owner decides nothing at this moment."""
        with self._lock:
            found = {partition: self._threads.get(each) for partition, each in self._assignments.unrecovered().items()}
            return {partition: thread.progress if thread else 0 for partition, thread in found.items()}

    def note_seen(self, seen: Observation | None) -> None:
        """What the watchdog has seen; None: Kafka does not answer."""
        self._context.metrics.seen = seen
        with self._lock:
            self._readiness.has_brokers = seen is not None
        self._tell_health()

    def shown(self) -> list[Shown]:
        """What the partition threads show, for the metrics."""
        with self._lock:
            return [each.shown for each in self._threads.values()]

    def start_handover(self) -> None:
        """The threads decide until other workers take their partitions over; this worker leaves the group meanwhile."""
        with self._lock:
            self._is_leaving = True
            for each in self._assignments.clear():
                self._threads[each].start_handover()

    def wait_for_handover(self) -> None:
        """Return once other workers have taken over each partition, or the group has no worker left."""
        with contextlib.suppress(LogUnreachableError):
            while self._has_threads() and not self._context.groups.is_empty():
                time.sleep(CHECK_SECONDS)

    def stop(self) -> None:
        with self._lock:
            self._is_leaving = True
            self._assignments.clear()
            threads, self._threads = list(self._threads.values()), {}
        for thread in threads:
            thread.stop()
        for thread in threads:
            thread.join(JOIN_SECONDS)
        self._reader.stop()
        self._context.clock.stop()

    def _has_threads(self) -> bool:
        with self._lock:
            return bool(self._threads)

    def _thread_of(self, partition: int) -> PartitionThread | None:
        assignment_id = self._assignments.id_of(partition)
        return None if assignment_id is None else self._threads.get(assignment_id)

    def _forget(self, assignment_id: AssignmentId) -> None:
        with self._lock:
            self._threads.pop(assignment_id, None)
        self._tell_health()

    def _on_heartbeat(self, heard: HeartbeatHeard) -> None:
        with self._lock:
            self._known_heartbeats.note(heard)
            for thread in self._threads.values():
                thread.inbox.put(heard)

    def _on_read(self, positions: Mapping[int, int]) -> None:
        with self._lock:
            self._known_heartbeats.note_positions(positions)

    def _tell_ready(self) -> None:
        with self._lock:
            if not self._assignments.unrecovered():
                write_ready_file(self._ready_file, os.getpid())
        self._tell_health()

    def _tell_health(self) -> None:
        with self._lock:
            self._readiness.tell(self._assignments.unrecovered())


def _opener(connections: Connections, stream_group: str, clock: KeptClock, groups: Groups) -> Callable[[int], OwnerLog]:
    return lambda partition: OwnerLog(connections, partition, f"{stream_group}-{partition}", clock, groups)


def check_topics(connections: Connections) -> dict[str, str]:
    """The ids of the input topics. Raises `TopicMismatchError`, because N never changes (protocol O2)."""
    names = {connections.topic(name): name for name in INPUT_TOPICS}
    admin = AdminClient(connections.kafka())  # must live until the answers arrive
    futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=START_SECONDS)
    ids: dict[str, str] = {}
    for full_name, future in futures.items():
        description = future.result(START_SECONDS)
        check_partitions(full_name, len(description.partitions), connections.partitions)
        ids[names[full_name]] = str(description.topic_id)
    return ids
