"""Hands a record to a Kafka client, and waits where the client has no room for it."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Producer

_ROOM_SECONDS = 0.1
"""Deliveries that are served meanwhile make room."""


def produce(producer: Producer, topic: str, **record: Any) -> None:
    """`record` as `Producer.produce` takes it. Returns once it is queued; what becomes of it, `on_delivery` hears."""
    while True:
        try:
            producer.produce(topic, **record)
        except BufferError:
            producer.poll(_ROOM_SECONDS)
        else:
            return
