"""Reads the topic `executors`, once for all owners of a worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from functools import partial
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from observe.health import Health
from schemas.codec import decode_foreign
from schemas.ends import is_end_of_file
from schemas.errors import UndecodableError
from schemas.heartbeat import Heartbeat
from schemas.settings import Connections
from schemas.silent import Place, Silence, fetched_end, silent_extent
from schemas.times import from_epoch_ms
from schemas.topics import EXECUTORS
from schemas.unreadable import BatchUnknownError, Unreadable, extent, is_unreadable
from streams.core.inputs import HeartbeatHeard, RecordRefused
from streams.metrics import HEARTBEATS_LIMIT
from streams.owner.intake import refuse_unreadable

log = structlog.get_logger()

POLL_SECONDS = 0.5
_CHUNK = 1_000


class HeartbeatReader(threading.Thread):
    """Passes each heartbeat to `on_heartbeat`, then the positions that it has read to `on_read`. Passes an unreadable
    batch and its partition to `on_refused`.
    """

    def __init__(
        self,
        connections: Connections,
        worker_id: str,
        on_heartbeat: Callable[[HeartbeatHeard], None],
        on_read: Callable[[Mapping[int, int]], None],
        on_refused: Callable[[int, RecordRefused], None],
        on_crashed: Callable[[], None],
        health: Health,
    ) -> None:
        super().__init__(name="heartbeats", daemon=True)
        self._on_crashed = on_crashed
        self._connections = connections
        self._worker_id = worker_id
        self._on_heartbeat = on_heartbeat
        self._on_read = on_read
        self._on_refused = on_refused
        self._stopping = threading.Event()
        self._health = health

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        try:
            self._read()
        except Exception:
            # Without heartbeats the owners cannot decide that an attempt is lost: the worker ends and restarts.
            log.exception("heartbeats_crashed")
            self._on_crashed()

    def _read(self) -> None:
        self._loop = self._health.loop("heartbeats", HEARTBEATS_LIMIT)
        consumer = self._consumer()
        topic = self._connections.topic(EXECUTORS)
        partitions = [TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(self._connections.partitions)]
        consumer.assign(partitions)
        silence = Silence({(topic, each.partition): 0 for each in partitions}, time.monotonic())
        while not self._stopping.is_set():
            self._loop.turn()
            messages = consumer.consume(1, POLL_SECONDS) + consumer.consume(_CHUNK, 0)
            for message in messages:
                if message.error() is None:
                    self._handle(message)
            # A list may contain the same error several times.
            for message in {each.partition(): each for each in messages if is_unreadable(each)}.values():
                self._skip(consumer, message)
            silence.note(messages, time.monotonic())
            for place, offset in silence.suspects(partial(_end, consumer), time.monotonic()):
                self._skip_if_unreadable(consumer, place, offset)
            if messages:
                self._on_read(_positions([*_ends(messages), *consumer.position(partitions)]))
        consumer.close()
        self._health.end(self._loop)

    def _consumer(self) -> Consumer:
        return Consumer(
            self._connections.kafka(
                group_id=f"tidemill-heartbeats-{self._worker_id}",
                enable_auto_commit=False,
                isolation_level="read_committed",
                enable_partition_eof=True,
                auto_offset_reset="earliest",
                fetch_wait_max_ms=100,
            )
        )

    def _skip(self, consumer: Consumer, message: Message) -> None:
        """Seek past an unreadable batch. The owner of the partition reports it, if this worker has that owner."""
        self._loop.turn()
        at = partial(TopicPartition, message.topic() or "", message.partition() or 0)
        try:
            with closing(self._consumer()) as reader:
                found = extent(reader, message, at)
        except BatchUnknownError as error:
            log.warning("batch_not_skipped", topic=EXECUTORS, partition=message.partition(), reason=str(error))
            return  # the client delivers the error again
        self._set_aside(consumer, message.partition() or 0, found)

    def _skip_if_unreadable(self, consumer: Consumer, place: Place, offset: int) -> None:
        """Find out why a partition returns no records. No attempt is declared lost meanwhile."""
        self._loop.turn()
        try:
            with closing(self._consumer()) as reader:
                found = silent_extent(reader, offset, partial(TopicPartition, *place))
        except (BatchUnknownError, KafkaException) as error:
            log.warning("batch_not_skipped", topic=EXECUTORS, partition=place[1], reason=str(error))
            return
        if found:
            self._set_aside(consumer, place[1], found)

    def _set_aside(self, consumer: Consumer, partition: int, found: Unreadable) -> None:
        consumer.seek(TopicPartition(self._connections.topic(EXECUTORS), partition, found.last + 1))
        self._on_refused(partition, refuse_unreadable(EXECUTORS, found))

    def _handle(self, message: Message) -> None:
        value = message.value()
        if value is None:
            return
        try:
            heartbeat = decode_foreign(value, Heartbeat)
        except UndecodableError as error:
            where = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
            log.warning("heartbeat_refused", **where, reason=str(error))
            return
        appended_at = from_epoch_ms(message.timestamp()[1])
        self._on_heartbeat(HeartbeatHeard(heartbeat=heartbeat, appended_at=appended_at))


def _end(consumer: Consumer, place: Place) -> int:
    return fetched_end(consumer, TopicPartition(*place))


def _positions(found: Collection[TopicPartition]) -> dict[int, int]:
    """The last known position of each partition; a negative offset means that there is none yet."""
    return {each.partition: each.offset for each in found if each.offset >= 0}


def _ends(messages: Collection[Any]) -> list[TopicPartition]:
    """The ends that were reached: a partition whose records were all deleted by age has no position yet."""
    reached = (each for each in messages if is_end_of_file(each))
    return [TopicPartition(each.topic(), each.partition(), each.offset()) for each in reached]
