"""The sink's side of Kafka: whole partitions, from the offsets that Postgres remembers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.record import Record, from_message, standing_for
from connectors.topics import KafkaRefusedError
from schemas.ends import is_end_of_file
from schemas.settings import Connections
from schemas.silent import Place, Silence, fetched_end, silent_extent
from schemas.unreadable import Unreadable, extent, is_unreadable

POLL_SECONDS = 0.25
"""How long nothing may come before the sink looks whether it should stop."""
METADATA_SECONDS = 10.0
PREFETCH_KB = 32 * 1024
_PASSING = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT})  # noqa: SLF001 - so named
"""The client reconnects by itself."""
_QUIET = {"log_level": 2}
"""The client would say several times a second that it cannot connect; `Outage` says it once."""

log = structlog.get_logger()


class Outage:
    """Says once that the brokers cannot be reached, and once that they can."""

    __slots__ = ("_is_said",)

    def __init__(self) -> None:
        self._is_said = False

    def goes_on(self, error: KafkaError) -> None:
        if not self._is_said:
            log.warning("kafka_unreachable", reason=error.str())
        self._is_said = True

    def is_over(self) -> None:
        if self._is_said:
            log.info("kafka_reachable")
        self._is_said = False


class Inbox:
    __slots__ = ("_consumer", "_open_reader", "_outage", "_silence")

    def __init__(self, consumer: Consumer, outage: Outage, open_reader: Callable[[], Consumer]) -> None:
        self._consumer = consumer
        self._outage = outage
        self._open_reader = open_reader
        self._silence = Silence({}, 0.0)

    def partitions(self, topics: list[str]) -> list[tuple[str, int]]:
        """Every partition of the topics. Raises `KafkaRefusedError`: to read none of a topic is to wait for ever."""
        return [(topic, number) for topic in topics for number in self._numbers(topic)]

    def _numbers(self, topic: str) -> list[int]:
        metadata = self._consumer.list_topics(topic, METADATA_SECONDS).topics[topic]
        if not metadata.partitions:
            reason = metadata.error.str() if metadata.error else "it is on its way in or out"
            raise KafkaRefusedError(f"topic {topic} has no partitions now: {reason}")
        return sorted(metadata.partitions)

    def read_from(self, offsets: dict[tuple[str, int], int]) -> None:
        self._silence = Silence(offsets, time.monotonic())
        self._consumer.assign([TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()])

    def take(self, most: int) -> list[Record]:
        """What is there, at most `most`; waits only for the first."""
        first = self._consumer.poll(POLL_SECONDS)
        rest = self._consumer.consume(most - 1, 0) if first is not None and most > 1 else []
        messages = [] if first is None else [first, *rest]  # a message without a value is false
        self._silence.note(messages, time.monotonic())
        records = [from_message(each) for each in messages if not is_unreadable(each) and not _is_error(each)]
        # What comes in a list behind such an error is that error again.
        unreadable = {(each.topic(), each.partition()): each for each in messages if is_unreadable(each)}
        records += [self._passed_by(each) for each in unreadable.values()]
        records = records or self._silent()
        if records:
            self._outage.is_over()
        return records

    def _passed_by(self, message: Message) -> Record:
        """It stands for the whole batch, and is a problem."""
        place = message.topic() or "", message.partition() or 0
        with closing(self._open_reader()) as reader:
            found = extent(reader, message, partial(TopicPartition, *place))
        return self._set_aside(place, found)

    def _set_aside(self, place: Place, found: Unreadable) -> Record:
        self._consumer.seek(TopicPartition(*place, found.last + 1))
        self._silence.reach(place, found.last + 1, time.monotonic())
        return standing_for(*place, found)

    def _silent(self) -> list[Record]:
        """What will never come of partitions that hold more than has come for a while."""
        records = []
        for place, offset in self._silence.suspects(self._end, time.monotonic()):
            with closing(self._open_reader()) as reader:
                found = silent_extent(reader, offset, partial(TopicPartition, *place))
            records += [self._set_aside(place, found)] if found else []
        return records

    def _end(self, place: Place) -> int:
        return fetched_end(self._consumer, TopicPartition(*place))


@contextmanager
def open_inbox(connections: Connections) -> Iterator[Inbox]:
    outage = Outage()
    options = connections.kafka(
        group_id=connections.topic("sink"),  # asked for by the client, never joined: offsets live in Postgres
        enable_auto_commit=False,
        enable_auto_offset_store=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_partition_eof=True,
        fetch_queue_backoff_ms=10,
        queued_max_messages_kbytes=PREFETCH_KB,
        error_cb=outage.goes_on,
    )
    consumer = Consumer(options | _QUIET)
    try:
        yield Inbox(consumer, outage, lambda: Consumer(options | _QUIET))
    finally:
        consumer.close()


def _is_error(message: Message) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.code() in _PASSING or is_end_of_file(message):
        return True
    raise KafkaException(error)
