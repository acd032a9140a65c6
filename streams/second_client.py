"""Reads records that librdkafka does not deliver with aiokafka: no delivery is no proof that they are unreadable.

Each question has its own connection, as in `streams.groups`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from schemas.settings import Connections
from schemas.unreadable import Unreadable
from streams.groups import ANSWER_SECONDS, LogUnreachableError
from streams.security import admin_options
from streams.skip_unreadable import is_skip_mark, skip_unreadable_batches

_MAX_RECORDS = 1_000
"""The owner reads the records after these with librdkafka again."""
_UNDECODABLE = "librdkafka delivers no record of it, and aiokafka cannot decode it"


class SecondMessage:
    """A record of aiokafka with the methods of a confluent-kafka message."""

    __slots__ = ("_record",)

    def __init__(self, record: ConsumerRecord[Any, Any]) -> None:
        self._record = record

    def error(self) -> None:
        return None

    def offset(self) -> int:
        return int(self._record.offset)

    def key(self) -> Any:
        return self._record.key

    def value(self) -> Any:
        return self._record.value

    def timestamp(self) -> tuple[int, int]:
        return int(self._record.timestamp_type), int(self._record.timestamp)

    def headers(self) -> list[tuple[str, bytes | None]]:
        return list(self._record.headers)


class SecondClient:
    """Thread-safe: each question has its own event loop."""

    def __init__(self, connections: Connections, partition: int, client_id: str) -> None:
        self._connections = connections
        self._partition = partition
        self._client_id = client_id

    def read(self, topic: str, start: int) -> list[SecondMessage] | Unreadable:
        """The records from this offset, or the batch that aiokafka received and could not decode.

        Raises `LogUnreachableError` if nothing arrives: the records may still be readable.
        """
        where = TopicPartition(self._connections.topic(topic), self._partition)
        try:
            found = asyncio.run(asyncio.wait_for(self._fetch(where, start), 3 * ANSWER_SECONDS))
        except (TimeoutError, OSError, KafkaError) as error:
            raise LogUnreachableError(f"nothing arrived from offset {start} of topic {topic}: {error!r}") from error
        return answer(found, topic, start)

    async def _fetch(self, where: TopicPartition, start: int) -> list[ConsumerRecord[Any, Any]]:
        skip_unreadable_batches()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._connections.kafka_bootstrap,
            client_id=self._client_id,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",
            request_timeout_ms=int(ANSWER_SECONDS * 1000),
            **admin_options(self._connections.kafka_options),
        )
        await consumer.start()
        try:
            consumer.assign([where])
            consumer.seek(where, start)
            found = await consumer.getmany(where, timeout_ms=int(ANSWER_SECONDS * 1000), max_records=_MAX_RECORDS)
            return list(found.get(where, ()))
        finally:
            await consumer.stop()


def answer(found: list[ConsumerRecord[Any, Any]], topic: str, start: int) -> list[SecondMessage] | Unreadable:
    """The records before the first mark; `Unreadable` if the mark is first. `LogUnreachableError` if there are none."""
    if not found:
        raise LogUnreachableError(f"neither client received anything from offset {start} of topic {topic}")
    marks = [number for number, each in enumerate(found) if is_skip_mark(each.headers)]
    if marks and marks[0] == 0:
        # If aiokafka does not know the batch's end, the mark is at `start`, and the next read asks for the next offset.
        return Unreadable(first=start, last=max(int(found[0].offset), start), reason=_UNDECODABLE)
    return [SecondMessage(each) for each in found[: marks[0] if marks else None]]
