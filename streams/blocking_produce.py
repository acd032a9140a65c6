"""Queues a record in a Kafka producer, and waits while the producer's buffer is full."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Producer

_POLL_SECONDS = 0.1
"""Each poll serves deliveries, which free the buffer."""


def blocking_produce(producer: Producer, topic: str, **record: Any) -> None:
    """Returns once the record is queued; `on_delivery` receives the result. `record`: see `Producer.produce`."""
    while True:
        try:
            producer.produce(topic, **record)
        except BufferError:
            producer.poll(_POLL_SECONDS)
        else:
            return
