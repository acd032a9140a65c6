"""Reads all partitions of some topics, without a consumer group's assignment: the caller says from which offsets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.offsets import offset_range
from connectors.record import PartitionId, Record, from_message, unreadable_record
from connectors.topics import KafkaRefusedError
from schemas.ends import is_end_of_file
from schemas.settings import Connections
from schemas.silent import Silence, fetched_end, silent_extent
from schemas.unreadable import Unreadable, extent, is_unreadable

POLL_SECONDS = 0.25
"""The longest wait for a record before the sink checks whether it should stop."""
METADATA_SECONDS = 10.0
REACHED_SECONDS = 1.0
"""How long an inbox without a broker waits for an answer before it tries again."""
PREFETCH_KB = 32 * 1024
_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - so named
_TRANSIENT = frozenset({_ALL_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT})  # noqa: SLF001 - so named
"""Errors after which the client reconnects without help."""
_QUIET = {"log_level": 2}
"""Without it the client logs several times a second that it cannot connect; `Outage` logs it once."""

log = structlog.get_logger()


class Outage:
    """Logs once that the brokers are unreachable, and once that they are reachable again."""

    __slots__ = ("_is_logged", "is_total")

    def __init__(self) -> None:
        self._is_logged = False
        self.is_total = False
        """Every broker is unreachable."""

    def log_error(self, error: KafkaError) -> None:
        self.is_total = self.is_total or error.code() == _ALL_DOWN
        if not self._is_logged:
            log.warning("kafka_unreachable", reason=error.str())
        self._is_logged = True

    def log_end(self) -> None:
        if self._is_logged:
            log.info("kafka_reachable")
        self._is_logged = self.is_total = False


class Inbox:
    __slots__ = ("_consumer", "_open_reader", "_outage", "_silence")

    def __init__(self, consumer: Consumer, outage: Outage, open_reader: Callable[[], Consumer]) -> None:
        self._consumer = consumer
        self._outage = outage
        self._open_reader = open_reader
        self._silence = Silence({}, 0.0)

    def partitions(self, topics: list[str]) -> list[PartitionId]:
        """All partitions of the topics. Raises `KafkaRefusedError` if a topic has none: it would never get a record."""
        return [(topic, number) for topic in topics for number in self._numbers(topic)]

    def _numbers(self, topic: str) -> list[int]:
        metadata = self._consumer.list_topics(topic, METADATA_SECONDS).topics[topic]
        if not metadata.partitions:
            reason = metadata.error.str() if metadata.error else "it is being created or deleted"
            raise KafkaRefusedError(f"topic {topic} has no partitions now: {reason}")
        return sorted(metadata.partitions)

    @property
    def is_cut_off(self) -> bool:
        """Whether no broker answered the last `take`."""
        return self._outage.is_total

    def read_from(self, offsets: dict[PartitionId, int]) -> None:
        self._silence = Silence(offsets, time.monotonic())
        self._consumer.assign([TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()])

    def committed(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
        """The offsets that the group keeps; a partition without one is at its end. Raises `KafkaException`."""
        asked = [TopicPartition(*each) for each in partitions]
        found = self._consumer.committed(asked, METADATA_SECONDS)
        return {
            (each.topic, each.partition): each.offset if each.offset >= 0 else offset_range(self._consumer, each)[1]
            for each in found
        }

    def commit(self, offsets: dict[PartitionId, int]) -> None:
        """Keep the next offset of each partition in the group. Raises `KafkaException`."""
        self._consumer.commit(
            offsets=[TopicPartition(*each, offset) for each, offset in offsets.items()], asynchronous=False
        )

    def offset_range(self, partition: PartitionId) -> tuple[int, int]:
        """The first offset and the end offset. Raises `NoOffsetsError` and `KafkaException`."""
        return offset_range(self._consumer, TopicPartition(*partition))

    def reached(self, partition: PartitionId) -> int:
        """The offset up to which everything is taken, also if only markers of transactions are before it."""
        return self._silence.reached[partition]

    def lag(self) -> int:
        """The offsets that are not taken yet, as far as the client knows without asking the brokers."""
        return sum(self.lags().values())

    def lags(self) -> dict[str, int]:
        """The same by topic. A transaction marker after the last record does not count: nothing comes after it."""
        found: dict[str, int] = {}
        for (topic, number), offset in self._silence.reached.items():
            found[topic] = found.get(topic, 0) + max(self._end((topic, number)) - offset, 0)
        return found

    def take(self, limit: int) -> list[Record]:
        """At most `limit` records; waits only for the first."""
        first = self._consumer.poll(POLL_SECONDS)
        rest = self._consumer.consume(limit - 1, 0) if first is not None and limit > 1 else []
        messages = [] if first is None else [first, *rest]  # a message without a value is falsy
        self._silence.note(messages, time.monotonic())
        records = [from_message(each) for each in messages if not is_unreadable(each) and not _is_error(each)]
        # The client repeats the error for the rest of the list: take one per partition.
        unreadable = {(each.topic(), each.partition()): each for each in messages if is_unreadable(each)}
        records += [self._skip_unreadable(each) for each in unreadable.values()]
        records = records or self._skip_silent()
        if records or (self._outage.is_total and self._reaches_a_broker()):
            self._outage.log_end()
        return records

    def _reaches_a_broker(self) -> bool:
        """Ask: without a new record, nothing else shows that an outage is over."""
        try:
            self._consumer.list_topics(timeout=REACHED_SECONDS)
        except KafkaException:
            return False
        return True

    def _skip_unreadable(self, message: Message) -> Record:
        """Skip the batch that `message` reports; returns a record that stands for the whole batch."""
        source = message.topic() or "", message.partition() or 0
        with closing(self._open_reader()) as reader:
            found = extent(reader, message, partial(TopicPartition, *source))
        return self._skip(source, found)

    def _skip(self, source: PartitionId, found: Unreadable) -> Record:
        self._consumer.seek(TopicPartition(*source, found.last + 1))
        self._silence.reach(source, found.last + 1, time.monotonic())
        return unreadable_record(*source, found)

    def _skip_silent(self) -> list[Record]:
        """Skip batches of which the client returns neither records nor an error; returns a record for each batch."""
        records = []
        for source, offset in self._silence.suspects(self._end, time.monotonic()):
            with closing(self._open_reader()) as reader:
                found = silent_extent(reader, offset, partial(TopicPartition, *source))
            records += [self._skip(source, found)] if found else []
        return records

    def _end(self, source: PartitionId) -> int:
        return fetched_end(self._consumer, TopicPartition(*source))


@contextmanager
def open_inbox(connections: Connections, group: str) -> Iterator[Inbox]:
    """`group`, without the prefix of topics, is where `Inbox.commit` keeps offsets; the inbox never joins it."""
    outage = Outage()
    options = connections.kafka(
        group_id=connections.topic(group),
        enable_auto_commit=False,
        enable_auto_offset_store=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_partition_eof=True,
        fetch_queue_backoff_ms=10,
        queued_max_messages_kbytes=PREFETCH_KB,
        error_cb=outage.log_error,
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
    if error.code() in _TRANSIENT or is_end_of_file(message):
        return True
    raise KafkaException(error)
