"""Kafka for the owner of one partition: it writes transactions to the partition and reads topics to their ends."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

import msgspec
import structlog
from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)

from schemas.ends import is_end_of_file, reaches
from schemas.ids import RunId
from schemas.kept_clock import KeptClock
from schemas.settings import Connections
from schemas.times import EPOCH, from_epoch_ms
from schemas.topics import CONTROL, DEADLETTER, EXECUTORS, MAX_RECORD_BYTES, REQUESTS, STATE, STATUS, runs_topic
from schemas.unreadable import BatchUnknownError, Unreadable, extent, headers_of, is_unreadable
from streams.blocking_produce import blocking_produce
from streams.clock import boot_seconds
from streams.core.inputs import RecordRefused
from streams.forward import is_marked
from streams.groups import ANSWER_SECONDS, Groups, LogUnreachableError
from streams.owner.intake import refuse_unreadable
from streams.owner.records import InRecord, OutRecord, Transaction
from streams.owner.replay import NOTHING_READ, Entry
from streams.owner.session_calls import Chunk, Read
from streams.second_client import SecondClient

log = structlog.get_logger()

_Messages = Generator[Any, None, None]

READ_TIMEOUT_SECONDS = 10.0
"""A read that makes no progress for this long asks a second client for the records."""
OFFSETS_SECONDS = 2.0
"""A live leader answers a question about the end of a partition within milliseconds."""
TRANSACTION_TIMEOUT_SECONDS = 10.0
"""An open transaction blocks its readers, so the broker aborts a dead owner's transaction soon."""
_CHUNK = 1_000
_PREFETCH_KB = 4 * 1024
"""With the client's default of 64 MB, the readers of a worker's partitions would temporarily need more memory than
their jobs do."""
FETCH_WAIT_MS = 5
"""How long the broker waits at the end of a topic. Each read stops there, but only an empty answer says that it is
reached."""
MARKER_WAIT_SECONDS = 0.005
"""The markers arrive within milliseconds of the commit."""
SETTLED_KEY = "settled"
"""The key of the empty records of `settle`: a tombstone without a record, in every topic."""


class OwnerLog:
    """Used from one thread."""

    def __init__(
        self,
        connections: Connections,
        partition: int,
        transactional_id: str,
        clock: KeptClock,
        groups: Groups,
    ) -> None:
        self._connections = connections
        self._partition = partition
        self._transactional_id = transactional_id
        self._clock = clock
        self._groups = groups
        self._second = SecondClient(connections, partition, f"{transactional_id}-second")
        self._producer: Producer | None = None
        self._consumer: Consumer | None = None
        self._refused: list[RecordRefused] = []
        self._unfinished: tuple[tuple[str, int], int, _Messages] | None = None
        """A read in parts: (topic, next offset), its end, and the remaining messages."""

    def prepare(self) -> None:
        """Make the producer, which fences no other yet. Waits for the time: no decision is possible without it."""
        if not self._clock.wait_until_known(ANSWER_SECONDS):
            raise LogUnreachableError("the time is not known: no majority of the clocks agrees on it")
        self._producer = self._producer or Producer(
            self._connections.kafka(
                transactional_id=self._transactional_id,
                transaction_timeout_ms=int(TRANSACTION_TIMEOUT_SECONDS * 1000),
                message_timeout_ms=int(TRANSACTION_TIMEOUT_SECONDS * 1000),
                # The commit flushes without waiting for the linger; until then, records gather into few requests.
                linger_ms=1_000,
                message_max_bytes=MAX_RECORD_BYTES,
                compression_type="lz4",
            )
        )

    def fence(self) -> None:
        """After this no earlier producer of this partition can commit, and its open transaction is aborted."""
        assert self._producer is not None, "prepare() comes first"
        self._producer.init_transactions(TRANSACTION_TIMEOUT_SECONDS)

    def settle(self) -> None:
        """Commit an empty transaction to every partition that this owner writes; wait for its markers (protocol O9).

        A broker that is killed between a commit and its markers may consider the commit complete when it returns, and
        never write them. Then the records stay undecided: `state` reads as if they did not exist, until the next commit
        to the same partitions makes them visible (docs/decisions/0006). This commit does so before `state` is read.
        """
        offsets: dict[str, int] = {}
        names = [runs_topic(name) for name in self._connections.timeout_classes.split(",")]
        topics = (*names, CONTROL, DEADLETTER, STATUS, STATE)
        records = [OutRecord(topic=topic, key=SETTLED_KEY, value=None) for topic in topics]
        producer = self._begin()
        sent = boot_seconds()
        for record in records:
            self._produce(producer, record, self._noting(record.topic, offsets, sent))
        producer.commit_transaction(TRANSACTION_TIMEOUT_SECONDS)
        until = boot_seconds() + READ_TIMEOUT_SECONDS
        for topic, offset in offsets.items():
            while self._offsets(topic, self._partition)[1] <= offset:
                if boot_seconds() > until:
                    raise LogUnreachableError(f"topic {topic} still has an open transaction at offset {offset}")
                time.sleep(MARKER_WAIT_SECONDS)

    def read_state(self, after: int = NOTHING_READ) -> Iterator[Entry]:
        for message in self._read_to_end(STATE, after + 1):
            key = _text(message.key())
            if key is not None:
                yield message.offset(), key, message.value()

    def take_refused(self) -> list[RecordRefused]:
        """The unreadable records that reads other than `read` have skipped since the last call."""
        refused, self._refused = self._refused, []
        return refused

    def read(self, wanted: Read) -> Chunk:
        """The next records of an input topic, within the limits of `wanted`."""
        first, end = self._offsets(wanted.topic, self._partition)
        end = end if wanted.until is None else min(wanted.until, end)
        start = max(wanted.after + 1, first)
        if start >= end:
            return Chunk(records=(), first=first, through=end - 1, end=end)
        records: list[InRecord] = []
        bytes_left = wanted.bytes
        reads_to, messages = self._continue(wanted.topic, start, end)
        for message in messages:
            records.append(
                _placeholder(wanted.topic, message)
                if isinstance(message, Unreadable)
                else in_record(wanted.topic, message)
            )
            bytes_left -= len(records[-1].value or b"")
            if len(records) >= wanted.records or bytes_left <= 0:
                through = records[-1].offset
                if through + 1 < reads_to:
                    self._unfinished = (wanted.topic, through + 1), reads_to, messages
                return Chunk(records=tuple(records), first=first, through=through, end=end)
        return Chunk(records=tuple(records), first=first, through=reads_to - 1, end=end)

    def unclaimed(self) -> dict[RunId, tuple[int, int]]:
        """The dispatches of this partition after the executors' committed offsets: (token, offset) by run."""
        found: dict[RunId, tuple[int, int]] = {}
        for name, committed in self.claimed_below().items():
            for message in self._read_to_end(runs_topic(name), committed):
                token, key = dict(headers_of(message)).get("token"), _text(message.key())
                if token is not None and token.isdigit() and key is not None:
                    found[RunId(key)] = (int(token), message.offset())
        return found

    def claimed_below(self) -> dict[str, int]:
        """By timeout class: every dispatch of this partition below the offset is claimed, or was deleted by age."""
        found = self._groups.committed(self._connections.timeout_classes.split(","), self._partition)
        return {
            each: max(self._offsets(runs_topic(each), self._partition)[0], offset) for each, offset in found.items()
        }

    def ends_of_executors(self) -> dict[int, int]:
        """The end of each partition of `executors`: heartbeats concern every owner."""
        return {each: self._offsets(EXECUTORS, each)[1] for each in range(self._connections.partitions)}

    def commit(self, transaction: Transaction) -> dict[RunId, tuple[int, int]]:
        """Returns (token, offset) of the dispatches by run. After an exception the outcome is unknown (protocol O3)."""
        dispatches: dict[RunId, tuple[int, int]] = {}
        producer = self._begin()
        for record in transaction.records[:-1]:
            self._produce(producer, record, _noting_dispatch(record, dispatches))
        # The clock record comes last: its acknowledgement carries the broker's time.
        self._produce(producer, transaction.records[-1], self._observing(boot_seconds()))
        producer.commit_transaction(TRANSACTION_TIMEOUT_SECONDS)
        return dispatches

    def close(self) -> None:
        self._discard_unfinished()
        if self._consumer:
            self._consumer.close()
        self._consumer = self._producer = None

    def _begin(self) -> Producer:
        assert self._producer is not None, "fence() comes first"
        self._producer.begin_transaction()
        return self._producer

    def _noting(self, topic: str, offsets: dict[str, int], sent_boot_seconds: float) -> Any:
        observe = self._observing(sent_boot_seconds)

        def on_delivery(error: KafkaError | None, message: Any) -> None:
            observe(error, message)
            if error is None:
                offsets[topic] = message.offset()

        return on_delivery

    def _produce(self, producer: Producer, record: OutRecord, on_delivery: Any) -> None:
        options: dict[str, Any] = {"on_delivery": on_delivery} if on_delivery else {}
        headers: list[tuple[str, str | bytes | None]] = list(record.headers)
        if record.dispatch:
            headers.append(("token", str(record.dispatch[1]).encode()))
        blocking_produce(
            producer,
            self._connections.topic(record.topic),
            value=record.value,
            key=record.key.encode(),
            partition=self._partition,
            headers=headers,
            **options,
        )

    def _observing(self, sent_boot_seconds: float) -> Any:
        def on_delivery(error: KafkaError | None, message: Any) -> None:
            if error is None:
                self._clock.observe(
                    sent=sent_boot_seconds, acknowledged=boot_seconds(), appended_ms=message.timestamp()[1]
                )

        return on_delivery

    def _read_to_end(self, topic: str, start: int) -> Iterator[Any]:
        """Read to the end as it is now; the next read returns records that are written meanwhile."""
        # Usually there is nothing to read, and asking for the end is a hundred times cheaper than an empty fetch.
        first, end = self._offsets(topic, self._partition)
        if max(start, first) < end:
            for message in self._read_up_to(topic, max(start, first), end):
                if isinstance(message, Unreadable):
                    self._refused.append(refuse_unreadable(topic, message))
                else:
                    yield message

    def _continue(self, topic: str, start: int, end: int) -> tuple[int, _Messages]:
        """The end of the read and its messages; continues an unfinished read, so that nothing is fetched twice."""
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None and unfinished[0] == (topic, start) and unfinished[1] <= end:
            return unfinished[1:]
        if unfinished is not None:
            unfinished[2].close()
        return end, self._read_up_to(topic, start, end)

    def _discard_unfinished(self) -> None:
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None:
            unfinished[2].close()

    def _read_up_to(self, topic: str, start: int, end: int) -> _Messages:
        """Messages, and an `Unreadable` for each batch that no client can read."""
        self._discard_unfinished()
        consumer = self._reader()
        try:
            while start < end:
                consumer.assign([self._topic_partition(topic, start)])
                replacements: list[Any] = []
                for message in self._messages(consumer, end):
                    if message is None or is_unreadable(message):
                        replacements = self._read_otherwise(consumer, topic, start, message)
                        break
                    start = message.offset() + 1
                    yield message
                else:
                    return
                for each in replacements:
                    if isinstance(each, Unreadable):
                        start = each.last + 1
                    elif each.offset() >= end:
                        return
                    else:
                        start = each.offset() + 1
                    yield each
        finally:
            consumer.unassign()

    def _read_otherwise(self, consumer: Consumer, topic: str, start: int, message: Any) -> list[Any]:
        """The records at `start`, where librdkafka delivers an error (`message`) or nothing (None).

        Returns `Unreadable` only for a batch that a client received and could not read. Raises `LogUnreachableError`:
        the caller reads again.
        """
        at = partial(self._topic_partition, topic)
        if message is not None:
            try:
                found = extent(consumer, message, at)
            except BatchUnknownError as error:
                raise LogUnreachableError(str(error)) from error
            return [msgspec.structs.replace(found, first=max(start, found.first))]
        second = self._second.read(topic, start)
        if not isinstance(second, Unreadable):
            log.warning("records_read_by_second_client", topic=topic, partition=self._partition, offset=start)
            return list(second)
        # The broker may serve the batch now, and librdkafka reads some batches that aiokafka does not.
        consumer.assign([at(start)])
        if consumer.consume(1, READ_TIMEOUT_SECONDS):
            return []
        end = self._offsets(topic, self._partition)[1]
        return [msgspec.structs.replace(second, last=max(start, min(second.last, end - 1)))]

    def _messages(self, consumer: Consumer, end: int) -> Iterator[Any]:
        """The messages to `end`, errors of unreadable batches included; None where nothing arrives in time."""
        while True:
            for message in consumer.consume(1, READ_TIMEOUT_SECONDS) + consumer.consume(_CHUNK, 0) or (None,):
                if message is None:
                    yield None
                    continue
                error = message.error()
                if error is None or is_unreadable(message):
                    yield message
                elif not (error.retriable() or is_end_of_file(message)):
                    raise KafkaException(error)
                if reaches(message, end):
                    return

    def _reader(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(
                self._connections.kafka(
                    group_id=f"{self._transactional_id}-recovery",
                    enable_auto_commit=False,
                    enable_partition_eof=True,
                    isolation_level="read_committed",
                    auto_offset_reset="earliest",
                    fetch_wait_max_ms=FETCH_WAIT_MS,
                    fetch_message_max_bytes=1024 * 1024,
                    fetch_max_bytes=2 * MAX_RECORD_BYTES,
                    queued_max_messages_kbytes=_PREFETCH_KB,
                    # The pause after this much is queued. The default is a second, for each 4 MB.
                    fetch_queue_backoff_ms=5,
                )
            )
        return self._consumer

    def _offsets(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset and the read_committed end (protocol O8); asks the leader."""
        where = TopicPartition(self._connections.topic(topic), partition)
        reader, self._consumer = self._reader(), None
        found = reader.get_watermark_offsets(where, timeout=OFFSETS_SECONDS, cached=False)
        if found is None:
            self._discard_unfinished()  # its reader asks the same leader
            raise LogUnreachableError(f"no answer about the end of topic {topic} within {OFFSETS_SECONDS} s")
        # A reader without an answer keeps asking a dead leader, so it is replaced.
        self._consumer = reader
        return found

    def _topic_partition(self, topic: str, offset: int = OFFSET_INVALID) -> TopicPartition:
        return TopicPartition(self._connections.topic(topic), self._partition, offset)


def in_record(topic: str, message: Any) -> InRecord:
    """Convert a client's message."""
    return InRecord(
        topic=topic,
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        appended_at=from_epoch_ms(message.timestamp()[1]),
        is_forwarded=topic == REQUESTS and is_marked(headers_of(message)),
    )


def _placeholder(topic: str, unreadable: Unreadable) -> InRecord:
    return InRecord(topic=topic, offset=unreadable.last, key=None, value=None, appended_at=EPOCH, unreadable=unreadable)


def _text(key: bytes | None) -> str | None:
    """None: no Tidemill record has such a key."""
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError:
        return None


def _noting_dispatch(record: OutRecord, dispatches: dict[RunId, tuple[int, int]]) -> Any:
    if record.dispatch is None:
        return None
    run_id, token = record.dispatch

    def on_delivery(error: KafkaError | None, message: Any) -> None:
        if error is None:
            dispatches[run_id] = (token, message.offset())

    return on_delivery
