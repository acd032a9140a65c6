"""Reads the first offset and the end offset of a partition; retries until its leader answers."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.errors import TidemillError

ANSWER_SECONDS = 10.0
_RETRY_SECONDS = 0.1
BROKER_LEFT = KafkaError._DESTROY_BROKER  # noqa: SLF001 - its codes are named so
"""The broker that was asked has left the cluster meanwhile; another one leads its partitions."""
_TRANSIENT = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.REPLICA_NOT_AVAILABLE,
        BROKER_LEFT,
    }
)
"""Errors right after a topic was created, or while a leader moves to another broker."""


class NoOffsetsError(TidemillError):
    """The brokers did not answer in time."""


def offset_range(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    """For a `read_committed` consumer, every transaction below the end offset is committed or aborted.

    Raises `NoOffsetsError` and `KafkaException`.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            found = consumer.get_watermark_offsets(partition, ANSWER_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in _TRANSIENT or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
            continue
        if found is None:
            raise NoOffsetsError(f"the brokers did not answer for partition {partition.partition} of {partition.topic}")
        return found
