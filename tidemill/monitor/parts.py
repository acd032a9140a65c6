"""The loop that asks Postgres, Kafka, Connect and S3 whether they answer, and the loop that compares their clocks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from connectors import connect_api
from connectors.objects import Objects, ObjectsError
from observe.catalogue.monitor import CLOCK_DIFFERENCE, PART_UP
from observe.health import Health
from tidemill.doctor import look_kafka, look_postgres
from tidemill.doctor.facts import apart, median, silent
from tidemill.monitor.deployment import Deployment
from tidemill.monitor.loops import AWAY
from tidemill.monitor.shown import Shown
from tidemill.target import connect

PERIOD = timedelta(seconds=15)
CLOCKS_PERIOD = timedelta(seconds=60)
PROGRAM_KEY = "monitor/canary"
PROGRAM = b"#!/bin/sh\nexit 0\n"
"""The canary's program, always the same; reading it shows whether S3 answers."""
NEEDED = {"postgres": "Postgres", "kafka": "Kafka"}
"""The parts without which the monitor cannot judge."""


class Parts:
    def __init__(self, deployment: Deployment, shown: Shown, health: Health) -> None:
        self._deployment, self._shown, self._health = deployment, shown, health
        self._objects: Objects | None = None

    def round(self) -> None:
        asks = {"postgres": self._postgres, "kafka": self._kafka, "connect": self._connect, "s3": self._s3}
        reasons = {part: _why_not(ask) for part, ask in asks.items()}
        self._shown.show(PART_UP, {(part,): float(reason is None) for part, reason in reasons.items()})
        away = [f"{name} does not answer: {reasons[part]}" for part, name in NEEDED.items() if reasons[part]]
        if away:
            self._health.not_ready("; ".join(away))
        else:
            self._health.ready()

    def _postgres(self) -> None:
        with connect(self._deployment.connections.postgres_dsn) as postgres:
            postgres.execute("select 1")

    def _kafka(self) -> None:
        self._deployment.admin().list_topics(timeout=look_kafka.ANSWER_SECONDS)

    def _connect(self) -> None:
        connect_api.get_version(self._deployment.connections.connect_url)

    def _s3(self) -> None:
        self._objects = self._objects or Objects(self._deployment.connections)
        try:
            self._objects.read(f"s3://{self._deployment.connections.s3_bucket}/{PROGRAM_KEY}")
        except ObjectsError:
            self._objects.put(PROGRAM_KEY, PROGRAM)


class Clocks:
    def __init__(self, deployment: Deployment, shown: Shown) -> None:
        self._deployment, self._shown = deployment, shown

    def round(self) -> None:
        """Raises what the clients of Postgres and Kafka raise."""
        brokers = median(look_kafka.clocks(self._deployment.connections))
        with connect(self._deployment.connections.postgres_dsn) as database:
            postgres = look_postgres.clock(database)
        self._deployment.note_clocks(brokers, postgres)
        if brokers is None:
            self.is_away()
        else:
            self._shown.show(CLOCK_DIFFERENCE, apart(brokers, postgres))

    def is_away(self) -> None:
        self._shown.forget(CLOCK_DIFFERENCE)


def _why_not(ask: Callable[[], None]) -> str | None:
    try:
        ask()
    except AWAY as error:
        return silent(error).reason
    return None
