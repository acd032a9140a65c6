"""What the loops of the monitor share: the deployment's addresses and settings, and how its clocks differ."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

from confluent_kafka.admin import AdminClient

from connectors.cluster import look
from schemas.cluster_record import of_deployment
from schemas.settings import Connections
from tidemill.doctor.facts import Offset
from tidemill.doctor.probe import clock_difference
from tidemill.lag import admin_client
from tidemill.target import wall_clock

SETTINGS_SECONDS = 60.0
"""The shared settings are read again after this time."""


class Deployment:
    """Thread-safe."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        """From the environment; `target` completes them."""
        self._lock = threading.Lock()
        self._target = connections
        self._read_at: float | None = None
        self._admin: AdminClient | None = None
        self._brokers: Offset | None = None
        self._postgres: Offset | None = None

    def target(self) -> Connections:
        """With the settings that all processes share. Raises `KafkaRefusedError`."""
        with self._lock:
            now = time.monotonic()
            if self._read_at is None or now - self._read_at > SETTINGS_SECONDS:
                self._target = of_deployment(self.connections, look(self.connections))
                self._read_at = now
            return self._target

    def admin(self) -> AdminClient:
        """The one client for questions about the brokers and the topics. Raises `BrokersError`."""
        with self._lock:
            self._admin = self._admin or admin_client(self.connections)
            return self._admin

    def note_clocks(self, brokers: Offset | None, postgres: Offset) -> None:
        with self._lock:
            self._brokers, self._postgres = brokers, postgres

    def brokers_now(self) -> datetime:
        """The brokers' time, as far as it is known."""
        with self._lock:
            known = self._brokers
        return wall_clock() + timedelta(seconds=(known.low + known.high) / 2 if known else 0)

    def brokers_ahead(self) -> timedelta:
        """How far the brokers' clock is ahead of Postgres', as far as it is known."""
        with self._lock:
            return clock_difference(self._brokers, self._postgres) if self._postgres else timedelta(0)
