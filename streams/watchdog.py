"""Ends a worker that does not read the input of an assigned partition, so that a restart clears the fault."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.settings import Connections
from schemas.topics import CDC
from streams.clock import boot_seconds
from streams.groups import ANSWER_SECONDS
from streams.owner.stall_detector import Observation, Probe, StallDetector, Stalled, Where

log = structlog.get_logger()

CHECK_SECONDS = 5.0


def watch(
    connections: Connections,
    limit: timedelta,
    applied: Callable[[], Mapping[Where, int]],
    recovering: Callable[[], Mapping[int, int]],
    stop: Callable[[], None],
    ended: threading.Event,
) -> None:
    """Check until `ended`; call `stop` once a partition makes no progress for `limit`.

    `applied` and `recovering` return the fields of `Observation`.
    """
    reader = watchdog_reader(connections)
    detector = StallDetector(limit)
    while not ended.wait(CHECK_SECONDS):
        try:
            stalled = _check(reader, connections, detector, applied(), recovering())
        except KafkaException:
            detector.reset()  # no partition can make progress without brokers
            reader = watchdog_reader(connections)  # the old one keeps asking dead leaders
            continue
        if stalled:
            log.error("worker_stalled", at=stalled.what, partition=stalled.partition, seconds=round(stalled.seconds))
            stop()
            return


def _check(
    reader: Consumer,
    connections: Connections,
    detector: StallDetector,
    applied: Mapping[Where, int],
    recovering: Mapping[int, int],
) -> Stalled | None:
    wanted = [*applied, *((CDC, partition) for partition in recovering)]  # an outage then raises during a recovery too
    ends = {where: _end(reader, connections, where) for where in wanted}
    seen = Observation(boot_seconds=boot_seconds(), applied=applied, ends=ends, recovering=recovering)
    checking = detector.check(seen)
    try:
        probe = next(checking)
        while True:
            probe = checking.send(is_unread(reader, connections, probe))
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


def _end(reader: Consumer, connections: Connections, where: Where) -> int:
    topic, partition = where
    offsets = reader.get_watermark_offsets(TopicPartition(connections.topic(topic), partition), timeout=ANSWER_SECONDS)
    return offsets[1] if offsets else 0
