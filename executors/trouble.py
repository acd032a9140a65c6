"""What librdkafka complains about, said once in a while: a client without a broker complains forty times a second."""

from __future__ import annotations

import threading

import structlog
from confluent_kafka import KafkaError

from executors.clock import boot_seconds

_LOG = structlog.get_logger()
_QUIET_SECONDS = 10.0


class Trouble:
    """One line per kind of error and time; safe to call from any thread."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._quiet_until: dict[int, float] = {}
        self._unsaid = 0

    def note(self, error: KafkaError) -> None:
        with self._lock:
            now = boot_seconds()
            if now < self._quiet_until.get(error.code(), 0.0):
                self._unsaid += 1
                return
            self._quiet_until[error.code()] = now + _QUIET_SECONDS
            unsaid, self._unsaid = self._unsaid, 0
        _LOG.warning("kafka", client=self._client, reason=error.str(), unsaid=unsaid)
