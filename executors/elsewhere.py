"""Asks the heartbeats of the others whether runs have an executor to go to."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import datetime, timedelta

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.codec import decode_foreign
from schemas.ends import is_end_of_file
from schemas.errors import UndecodableError
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.ids import ExecutorId
from schemas.settings import Connections
from schemas.times import epoch_ms
from schemas.topics import EXECUTORS, control_group

_LOG = structlog.get_logger()
_RECENT = timedelta(seconds=15)
"""Some heartbeat intervals: an executor that was killed sends no last word."""
_ANSWER_SECONDS = 5.0
_CHUNK = 1_000


class Elsewhere:
    """Blocks: call it in a thread."""

    def __init__(
        self, connections: Connections, executor_id: ExecutorId, classes: Collection[str], now: Callable[[], datetime]
    ) -> None:
        self._connections, self._executor_id, self._classes, self._now = connections, executor_id, set(classes), now

    def is_well(self) -> bool:
        """Whether each class of this executor has another one that is well. False if Kafka does not say."""
        try:
            beats = self._recent()
        except KafkaException as error:
            _LOG.warning("heartbeats of the others not read", reason=str(error))
            return False
        return self._classes <= served_by_others(beats, self._executor_id)

    def _recent(self) -> list[Heartbeat]:
        topic, since = self._connections.topic(EXECUTORS), epoch_ms(self._now() - _RECENT)
        options = self._connections.kafka(
            group_id=control_group(self._connections.topic_prefix),  # required; it never joins the group
            client_id=self._executor_id,
            enable_auto_commit=False,
            enable_partition_eof=True,
        )
        with closing(Consumer({**options, "log_level": 2})) as consumer:
            asked = [TopicPartition(topic, number, since) for number in range(self._connections.partitions)]
            places = [each for each in consumer.offsets_for_times(asked, _ANSWER_SECONDS) if each.offset >= 0]
            consumer.assign(places)
            return _read(consumer, len(places))


def served_by_others(beats: Collection[Heartbeat], executor_id: ExecutorId) -> set[str]:
    """The classes of all other executors whose newest heartbeat says that they run and are well."""
    newest: dict[ExecutorId, Heartbeat] = {}
    for each in sorted(beats, key=lambda beat: beat.at):
        newest[each.executor_id] = each
    well = (each for each in newest.values() if each.state is ExecutorState.RUNNING and each.ill is None)
    return {slots.timeout_class for each in well if each.executor_id != executor_id for slots in each.slots}


def _read(consumer: Consumer, partitions: int) -> list[Heartbeat]:
    """All heartbeats up to the ends of the assigned partitions. Raises `KafkaException`."""
    found: list[Heartbeat] = []
    until = time.monotonic() + _ANSWER_SECONDS
    while partitions and time.monotonic() < until:
        for message in consumer.consume(_CHUNK, 0.1):
            error = message.error()
            if error is None:
                found += _heartbeat(message.value())
            elif is_end_of_file(message):
                partitions -= 1
            else:
                raise KafkaException(error)
    return found


def _heartbeat(value: bytes | None) -> list[Heartbeat]:
    """Nothing for a tombstone, and for a heartbeat of another version."""
    try:
        return [decode_foreign(value, Heartbeat)] if value else []
    except UndecodableError:
        return []
