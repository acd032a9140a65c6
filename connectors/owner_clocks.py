"""Reads each owner's latest clock from the topic `state`: its watermark, and the settings that it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from functools import partial

import msgspec
import structlog
from confluent_kafka import Consumer, Message, TopicPartition

from connectors.offsets import ANSWER_SECONDS, offset_range
from schemas.codec import decode
from schemas.digest import DefinitionDigest
from schemas.ends import is_end_of_file, reaches
from schemas.errors import TidemillError
from schemas.settings import Connections
from schemas.times import from_epoch_ms
from schemas.topics import STATE
from schemas.unreadable import BatchUnknownError, extent, is_unreadable

log = structlog.get_logger()

CLOCK_KEY = b"clock"
"""The key of the last record in each transaction of an owner (`streams.owner.transaction_records`)."""
FIRST_LOOK_BACK = 100
"""Start so many offsets before the end; further back if there is no clock, for example after an aborted transaction."""
_LOOK_BACK_FACTOR = 100


class AppliedTo(msgspec.Struct, frozen=True, kw_only=True):
    topic: str
    offset: int
    topic_id: str = ""


class OwnerClock(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of `streams.core.stored.StoredClock` that processes other than owners read."""

    watermark: datetime
    newest_version: int = 0
    cluster_version: int = 0
    digest: DefinitionDigest | None = None
    applied: tuple[AppliedTo, ...] = ()

    def applied_of(self, topic: str) -> int:
        """The offset of the last applied record of an input topic; -1 if there is none."""
        return next((each.offset for each in self.applied if each.topic == topic), -1)

    def topic_id_of(self, topic: str) -> str:
        """The id of the topic that the owner reads; empty if it has read none."""
        return next((each.topic_id for each in self.applied if each.topic == topic), "")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    clock: OwnerClock
    appended_at: datetime


class StateUnreadableError(TidemillError):
    """The brokers did not return the end of `state`."""


def latest_clocks(connections: Connections) -> dict[int, Seen]:
    """The latest clock by partition; a partition without a decision has none. Also raises `KafkaException`."""
    open_reader = reader_of(connections)
    with closing(open_reader()) as consumer:
        topic = connections.topic(STATE)
        asked = {
            number: offset_range(consumer, TopicPartition(topic, number)) for number in range(connections.partitions)
        }
        found: dict[int, Seen] = {}
        back = FIRST_LOOK_BACK
        while unknown := {number: each for number, each in asked.items() if number not in found and each[0] < each[1]}:
            begins = {number: max(begin, end - back) for number, (begin, end) in unknown.items()}
            found |= _last_in(consumer, open_reader, topic, begins, {n: end for n, (_, end) in unknown.items()})
            # A partition that was read from its beginning has no clock.
            asked = {number: each for number, each in unknown.items() if begins[number] > each[0]}
            back *= _LOOK_BACK_FACTOR
        return found


def reader_of(connections: Connections) -> Callable[[], Consumer]:
    """Makes consumers that read a part of a topic and join no group."""
    options = connections.kafka(
        group_id="tidemill-clocks",  # the client requires it
        enable_auto_commit=False,
        enable_partition_eof=True,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_wait_max_ms=20,
    )
    return partial(Consumer, options | {"log_level": 2})


def _last_in(
    consumer: Consumer,
    open_reader: Callable[[], Consumer],
    topic: str,
    begins: Mapping[int, int],
    ends: Mapping[int, int],
) -> dict[int, Seen]:
    found: dict[int, Seen] = {}
    for message in read_between(consumer, open_reader, topic, begins, ends):
        number, value = message.partition() or 0, message.value()
        if message.key() == CLOCK_KEY and value is not None:
            found[number] = Seen(clock=decode(value, OwnerClock), appended_at=from_epoch_ms(message.timestamp()[1]))
    return found


def read_between(
    consumer: Consumer,
    open_reader: Callable[[], Consumer],
    topic: str,
    begins: Mapping[int, int],
    ends: Mapping[int, int],
) -> Iterator[Message]:
    """The committed records of a topic between two offsets of each partition. Raises `StateUnreadableError`.

    `begins` may name only partitions in which it is below the end.
    """
    unread = {number: ends[number] for number in begins}
    consumer.assign([TopicPartition(topic, number, begin) for number, begin in begins.items()])
    while unread:
        message = consumer.poll(ANSWER_SECONDS)
        if message is not None and is_unreadable(message):
            _skip_unreadable(consumer, open_reader, message)
            continue
        if message is None or (message.error() is not None and not is_end_of_file(message)):
            raise StateUnreadableError(f"topic {topic} could not be read to its end")
        number = message.partition() or 0
        if message.error() is None:
            yield message
        if number in unread and reaches(message, unread[number]):
            del unread[number]
    consumer.unassign()


def _skip_unreadable(consumer: Consumer, open_reader: Callable[[], Consumer], message: Message) -> None:
    """Skip a batch that the client cannot read. The client still reports the end of the partition after it."""
    at = partial(TopicPartition, message.topic() or "", message.partition() or 0)
    try:
        with closing(open_reader()) as reader:
            found = extent(reader, message, at)
    except BatchUnknownError as error:
        raise StateUnreadableError(str(error)) from error
    log.warning("records_unreadable", partition=message.partition(), reason=found.said_of(STATE))
    consumer.seek(at(found.last + 1))
