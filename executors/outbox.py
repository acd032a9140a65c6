"""Sends the executor's records to Kafka: with one producer, acknowledged by all replicas, retried without end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException, Message, Producer

from executors.clock import boot_seconds
from executors.kafka_errors import KafkaErrorLog
from observe.health import Health
from schemas.kept_clock import KeptClock
from schemas.settings import Connections
from schemas.topics import MAX_RECORD_BYTES

_LOG = structlog.get_logger()
_LINGER_MS = 1
_POLL_SECONDS = 0.2
_RETRY_SECONDS = 0.5
_LIMIT = timedelta(seconds=30)
"""It turns every 0.2 s, with or without brokers: it only polls."""
_BROKEN_FOR_GOOD = (
    KafkaError._FATAL,  # noqa: SLF001 - the library's public name for librdkafka's ERR__FATAL
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    KafkaError.INVALID_PRODUCER_EPOCH,
)
_RECONNECT_MAX_MS = 1000
"""Find a broker that is back within a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    topic: str
    key: str
    value: bytes
    partition: int
    headers: tuple[tuple[str, bytes], ...] = ()
    on_ack: Callable[[float], None]
    """Called in the event loop with the time at which the record was sent (CLOCK_BOOTTIME)."""


class Outbox:
    """Used from the event loop. Where order matters, the caller keeps one record per partition in flight."""

    def __init__(self, connections: Connections, clock: KeptClock, *, client_id: str, health: Health) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock, self._health = clock, health
        options = connections.kafka(
            client_id=client_id,
            enable_idempotence=True,
            acks="all",
            linger_ms=_LINGER_MS,
            message_timeout_ms=0,
            message_max_bytes=MAX_RECORD_BYTES,
            reconnect_backoff_max_ms=_RECONNECT_MAX_MS,
            reconnect_backoff_ms=50,
        )
        self._options = {**options, "error_cb": KafkaErrorLog("outbox").log, "log_level": 2}
        self._producer = Producer(self._options)
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="outbox", daemon=True)
        self._poller.start()

    def send(self, record: Record) -> None:
        sent, producer = boot_seconds(), self._producer

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._delivered(record, sent, message)
            else:
                self._loop.call_soon_threadsafe(self._failed, record, error, producer)

        try:
            producer.produce(
                record.topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
                on_delivery=delivered,
            )
        except (BufferError, KafkaException) as error:
            self._retry(record, str(error))

    def close(self) -> None:
        self._closing.set()
        self._poller.join(_POLL_SECONDS * 2)

    def _poll(self) -> None:
        loop = self._health.loop("outbox", _LIMIT)
        while not self._closing.is_set():
            loop.turn()
            self._producer.poll(_POLL_SECONDS)
        self._health.end(loop)

    def _delivered(self, record: Record, sent: float, message: Message) -> None:
        """Runs in the poller's thread."""
        kind, appended_ms = message.timestamp()
        if kind != TIMESTAMP_NOT_AVAILABLE:
            self._clock.observe(sent=sent, acknowledged=boot_seconds(), appended_ms=appended_ms)
        self._loop.call_soon_threadsafe(record.on_ack, sent)

    def _failed(self, record: Record, error: KafkaError, producer: Producer) -> None:
        if producer is self._producer and error.code() in _BROKEN_FOR_GOOD:
            # An idempotent producer that lost its sequence stays broken: replace it. Owners ignore duplicates.
            self._producer = Producer(self._options)
            producer.purge()
            producer.flush(_POLL_SECONDS)
        self._retry(record, error.str())

    def _retry(self, record: Record, reason: str) -> None:
        _LOG.warning("send failed", topic=record.topic, partition=record.partition, reason=reason)
        self._loop.call_later(_RETRY_SECONDS, self.send, record)
