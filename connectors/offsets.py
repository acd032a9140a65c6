"""The beginning and the end of a partition, asked for until its leader answers."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.errors import TidemillError

ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.1
_PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.REPLICA_NOT_AVAILABLE,
    }
)
"""What a client hears right after a topic was made, or while a leader moves to another broker."""


class NoOffsetsError(TidemillError):
    """No answer came in time."""


def watermarks(consumer: Consumer, where: TopicPartition) -> tuple[int, int]:
    """Of a `read_committed` consumer the end is that below which everything is committed or aborted.

    Raises `NoOffsetsError` and KafkaException.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            found = consumer.get_watermark_offsets(where, ANSWER_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
            continue
        if found is None:
            raise NoOffsetsError(f"no answer about partition {where.partition} of {where.topic}")
        return found
