"""Reads all committed records of a topic."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from schemas.ends import is_end_of_file
from schemas.settings import Connections

READ_SECONDS = 20


def read_committed(connections: Connections, topic: str) -> list[Message]:
    """All records up to the present end, ordered by partition and offset."""
    return sorted(each_committed(connections, topic), key=lambda each: (each.partition(), each.offset()))


def each_committed(connections: Connections, topic: str) -> Iterator[Message]:
    """The same records as an iterator, in offset order within a partition only."""
    name, count = connections.topic(topic), connections.partitions
    consumer = Consumer(
        connections.kafka(
            group_id="tests",
            enable_auto_commit=False,
            enable_partition_eof=True,
            isolation_level="read_committed",
            fetch_wait_max_ms=50,
        )
    )
    try:
        consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING) for number in range(count)])
        at_end: set[int | None] = set()
        while len(at_end) < count:
            messages = consumer.consume(1, READ_SECONDS) + consumer.consume(10_000, 0)
            assert messages, f"{topic} could not be read to its end"
            at_end |= {each.partition() for each in messages if is_end_of_file(each)}
            yield from (each for each in messages if each.error() is None)
    finally:
        consumer.close()
