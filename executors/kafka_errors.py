"""Logs the errors of librdkafka at a limited rate: a client without a broker reports forty errors a second."""

from __future__ import annotations

import threading

import structlog
from confluent_kafka import KafkaError

from executors.clock import boot_seconds

_LOG = structlog.get_logger()
_QUIET_SECONDS = 10.0


class KafkaErrorLog:
    """Logs each kind of error at most once in `_QUIET_SECONDS`. Thread-safe."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._quiet_until: dict[int, float] = {}
        self._suppressed = 0

    def log(self, error: KafkaError) -> None:
        with self._lock:
            now = boot_seconds()
            if now < self._quiet_until.get(error.code(), 0.0):
                self._suppressed += 1
                return
            self._quiet_until[error.code()] = now + _QUIET_SECONDS
            suppressed, self._suppressed = self._suppressed, 0
        _LOG.warning("kafka", client=self._client, reason=error.str(), suppressed=suppressed)
