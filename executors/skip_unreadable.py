"""Skips batches that an executor's Kafka client cannot read, and reports them to the dead letter topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from executors.outbox import Record
from schemas.reasons import ProblemCode, ProblemKind
from schemas.settings import Connections
from schemas.silent import silent_extent
from schemas.topics import DEADLETTER
from schemas.unreadable import BatchUnknownError, Unreadable, extent, is_unreadable

_LOG = structlog.get_logger()
SourcePartition = tuple[str, int]
"""(topic, partition)"""
OnUnreadable = Callable[[SourcePartition, Unreadable], None]
FindExtent = Callable[[Consumer, Callable[[int], TopicPartition]], Unreadable | None]


class UnreadableSkipper:
    """Used from one consumer's thread."""

    def __init__(self, options: Mapping[str, Any], on_unreadable: OnUnreadable) -> None:
        self._options = {**options, "enable.partition.eof": True}
        self._on_unreadable = on_unreadable
        self._skipped: set[SourcePartition] = set()

    def start_list(self) -> None:
        """Call this before each list of messages: after a skip, the rest of the list may repeat the same error."""
        self._skipped.clear()

    def skip(self, consumer: Consumer, message: Message) -> int | None:
        """Skip the unreadable batch that `message` reports; returns its last offset.

        None: `message` reports something else, or a batch that was skipped already, or the batch was not found.
        """
        source = message.topic() or "", message.partition() or 0
        if source in self._skipped or not is_unreadable(message):
            return None
        last = self._skip(consumer, source, lambda reader, at: extent(reader, message, at))
        if last is not None:
            self._skipped.add(source)
        return last

    def skip_silent(self, consumer: Consumer, source: SourcePartition, offset: int) -> int | None:
        """Skip the batch at `offset` of which the client returns neither records nor an error.

        Returns its last offset; None: there is no such batch.
        """
        return self._skip(consumer, source, lambda reader, at: silent_extent(reader, offset, at))

    def _skip(self, consumer: Consumer, source: SourcePartition, find_extent: FindExtent) -> int | None:
        at = partial(TopicPartition, *source)
        try:
            with closing(Consumer(self._options)) as reader:
                found = find_extent(reader, at)
            if found is None:
                return None
            consumer.seek(at(found.last + 1))
        except (BatchUnknownError, KafkaException) as error:
            _LOG.warning("batch not skipped", topic=source[0], partition=source[1], reason=str(error))
            return None
        _LOG.error("records unreadable", topic=source[0], partition=source[1], **_facts(found))
        self._on_unreadable(source, found)
        return found.last


def dead_letter(connections: Connections, source: SourcePartition, found: Unreadable) -> Record:
    topic = source[0].removeprefix(connections.topic_prefix)
    return Record(
        topic=connections.topic(DEADLETTER),
        key=topic,
        value=b"",
        partition=source[1],
        headers=(
            ("kind", ProblemKind.DEAD_LETTER.encode()),
            ("code", ProblemCode.BATCH_UNREADABLE.encode()),
            ("reason", found.said_of(topic).encode()),
            ("source_topic", topic.encode()),
            ("source_partition", str(source[1]).encode()),
            ("source_offset", str(found.first).encode()),
        ),
        on_ack=lambda _: None,
    )


def _facts(found: Unreadable) -> dict[str, Any]:
    return {"first": found.first, "last": found.last, "reason": found.reason}
