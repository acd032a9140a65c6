"""Forwards misplaced requests to their home partitions, before the transaction that skips them (decision 0009)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.settings import Connections
from streams.blocking_produce import blocking_produce
from streams.owner.records import Forwarding

log = structlog.get_logger()

MARK = "forwarded"
"""The header of a forwarded record; its value says where the record was found. A record is forwarded once (protocol
I6)."""
FORWARD_TIMEOUT_SECONDS = 10.0
LINGER_MS = 1
_POLL_SECONDS = 0.1


def is_marked(headers: Collection[tuple[str, bytes | None]] | None) -> bool:
    return any(name == MARK for name, _ in headers or ())


class Forwarder:
    """One for all partition threads of a worker; it connects at the first request to forward."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def forward(self, records: Collection[Forwarding]) -> None:
        """Returns once every record is acknowledged. After an exception some records may have arrived."""
        if not records:
            return
        producer = self._connected()
        outcomes: list[KafkaError | None] = []

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            outcomes.append(error)

        for record in records:
            self._produce(producer, record, on_delivery)
        while len(outcomes) < len(records):
            producer.poll(_POLL_SECONDS)  # each outcome arrives within the message timeout
        failure = next(filter(None, outcomes), None)
        if failure is not None:
            self._disconnect(producer)
            raise KafkaException(failure)
        log.info("requests_forwarded", requests=len(records))

    def _connected(self) -> Producer:
        with self._lock:
            if self._producer is None:
                self._producer = Producer(
                    self._connections.kafka(
                        enable_idempotence=True,  # keeps the order of a request and its cancellation
                        message_timeout_ms=int(FORWARD_TIMEOUT_SECONDS * 1000),
                        linger_ms=LINGER_MS,
                    )
                )
            return self._producer

    def _disconnect(self, producer: Producer) -> None:
        """A failed idempotent producer may never recover, so the next call makes another one."""
        with self._lock:
            if self._producer is producer:
                self._producer = None

    def _produce(
        self, producer: Producer, record: Forwarding, on_delivery: Callable[[KafkaError | None, Message], None]
    ) -> None:
        blocking_produce(
            producer,
            self._connections.topic(record.topic),
            value=record.value,
            key=record.key.encode(),
            partition=record.partition,
            headers=[(MARK, record.found_at.encode())],
            on_delivery=on_delivery,
        )
