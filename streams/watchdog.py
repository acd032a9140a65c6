"""Ends a worker that does not read the input of an assigned partition, so that a restart clears the fault."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from observe.health import Health, Loop
from schemas.settings import Connections
from schemas.topics import CDC
from streams.clock import boot_seconds
from streams.groups import ANSWER_SECONDS
from streams.metrics import WATCHDOG_LIMIT
from streams.owner.stall_detector import Observation, Probe, StallDetector, Stalled, Where

log = structlog.get_logger()

CHECK_SECONDS = 5.0


class Subject(Protocol):
    """The worker that is watched. `applied` and `recovering` return the fields of `Observation`."""

    def applied(self) -> Mapping[Where, int]: ...

    def recovering(self) -> Mapping[int, int]: ...

    def note_seen(self, seen: Observation | None) -> None:
        """The result of a check; None: the brokers do not answer."""


def watch(
    connections: Connections,
    limit: timedelta,
    worker: Subject,
    stop: Callable[[], None],
    health: Health,
    ended: threading.Event,
) -> None:
    """Check until `ended`; call `stop` once a partition makes no progress for `limit`."""
    asking = _Asking(connections, health.loop("watchdog", WATCHDOG_LIMIT))
    detector = StallDetector(limit)
    while not ended.wait(CHECK_SECONDS):
        try:
            stalled = _check(asking, detector, worker)
        except KafkaException:
            worker.note_seen(None)
            detector.reset()  # no partition can make progress without brokers
            asking.begin_anew()
            continue
        if stalled:
            log.error("worker_stalled", at=stalled.what, partition=stalled.partition, seconds=round(stalled.seconds))
            stop()
            break
    health.end(asking.loop)


class _Asking:
    """The watchdog's client. The watchdog's loop turns with each question."""

    def __init__(self, connections: Connections, loop: Loop) -> None:
        self.loop = loop
        self._connections, self._reader = connections, watchdog_reader(connections)

    def begin_anew(self) -> None:
        """After a failure: the old client keeps asking dead leaders."""
        self._reader = watchdog_reader(self._connections)

    def end(self, where: Where) -> int:
        self.loop.turn()
        topic, partition = where
        place = TopicPartition(self._connections.topic(topic), partition)
        offsets = self._reader.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
        return offsets[1] if offsets else 0

    def is_unread(self, probe: Probe) -> bool:
        self.loop.turn()
        return is_unread(self._reader, self._connections, probe)


def _check(asking: _Asking, detector: StallDetector, worker: Subject) -> Stalled | None:
    applied, recovering = worker.applied(), worker.recovering()
    # An outage then raises during a recovery too, and in a worker without partitions.
    wanted = {*applied, *((CDC, partition) for partition in recovering)} or {(CDC, 0)}
    ends = {where: asking.end(where) for where in wanted}
    seen = Observation(boot_seconds=boot_seconds(), applied=applied, ends=ends, recovering=recovering)
    worker.note_seen(seen)
    checking = detector.check(seen)
    try:
        probe = next(checking)
        while True:
            probe = checking.send(asking.is_unread(probe))
    except StopIteration as over:
        stalled: Stalled | None = over.value
        return stalled


def watchdog_reader(connections: Connections) -> Consumer:
    return Consumer(
        connections.kafka(
            group_id="tidemill-watchdog",
            enable_auto_commit=False,
            enable_partition_eof=True,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
    )


def is_unread(reader: Consumer, connections: Connections, probe: Probe) -> bool:
    """Whether there is a record that readers may see: aborted transactions of other producers leave long gaps."""
    topic, partition = probe.where
    reader.assign([TopicPartition(connections.topic(topic), partition, probe.after + 1)])
    try:
        message = reader.poll(ANSWER_SECONDS)
    finally:
        reader.unassign()
    return message is not None and message.error() is None
