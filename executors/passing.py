"""Batches that an executor's client cannot read: it passes them by, and reports them to the dead letter topic."""

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
from schemas.silent import Place, silent_extent
from schemas.topics import DEADLETTER
from schemas.unreadable import BatchUnknownError, Unreadable, extent, is_unreadable

_LOG = structlog.get_logger()
SetAside = Callable[[Place, Unreadable], None]
Look = Callable[[Consumer, Callable[[int], TopicPartition]], Unreadable | None]


class Passing:
    """Used from the thread of one consumer."""

    def __init__(self, options: Mapping[str, Any], set_aside: SetAside) -> None:
        self._options = {**options, "enable.partition.eof": True}
        self._set_aside = set_aside
        self._met: set[Place] = set()

    def begin(self) -> None:
        """Of each list of messages: what comes in one behind an error that was passed by is that error again."""
        self._met.clear()

    def passes(self, consumer: Consumer, message: Message) -> int | None:
        """The last offset of what `message` says that it cannot be read; None: it says something else, or again."""
        place = message.topic() or "", message.partition() or 0
        if place in self._met or not is_unreadable(message):
            return None
        last = self._pass(consumer, place, lambda reader, at: extent(reader, message, at))
        if last is not None:
            self._met.add(place)
        return last

    def passes_silence(self, consumer: Consumer, place: Place, offset: int) -> int | None:
        """The last offset of the batch there of which the client says nothing; None: it is another silence."""
        return self._pass(consumer, place, lambda reader, at: silent_extent(reader, offset, at))

    def _pass(self, consumer: Consumer, place: Place, look: Look) -> int | None:
        at = partial(TopicPartition, *place)
        try:
            with closing(Consumer(self._options)) as reader:
                found = look(reader, at)
            if found is None:
                return None
            consumer.seek(at(found.last + 1))
        except (BatchUnknownError, KafkaException) as error:
            _LOG.warning("batch not passed by", topic=place[0], partition=place[1], reason=str(error))
            return None
        _LOG.error("records unreadable", topic=place[0], partition=place[1], **_facts(found))
        self._set_aside(place, found)
        return found.last


def dead_letter(connections: Connections, place: Place, found: Unreadable) -> Record:
    topic = place[0].removeprefix(connections.topic_prefix)
    return Record(
        topic=connections.topic(DEADLETTER),
        key=topic,
        value=b"",
        partition=place[1],
        headers=(
            ("kind", ProblemKind.DEAD_LETTER.encode()),
            ("code", ProblemCode.BATCH_UNREADABLE.encode()),
            ("reason", found.said_of(topic).encode()),
            ("source_topic", topic.encode()),
            ("source_partition", str(place[1]).encode()),
            ("source_offset", str(found.first).encode()),
        ),
        on_ack=lambda _: None,
    )


def _facts(found: Unreadable) -> dict[str, Any]:
    return {"first": found.first, "last": found.last, "reason": found.reason}
