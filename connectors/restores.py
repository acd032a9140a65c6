"""Detects that Postgres was restored from a backup: its next version is not above the applied ones (protocol I10)."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import structlog
from confluent_kafka import KafkaException

from connectors.owner_clocks import latest_clocks
from connectors.statements import sql
from connectors.stopping import Stop
from observe.health import Health
from schemas.errors import TidemillError
from schemas.settings import Connections

CHECK_INTERVAL = timedelta(seconds=20)
STUCK = timedelta(minutes=10)
"""A check takes seconds: each of its calls has a timeout."""
CONNECT_SECONDS = 10
SESSION = "-c TimeZone=UTC -c statement_timeout=60s -c tidemill.sink=on"

log = structlog.get_logger()


def watch_restores(connections: Connections, stop: Stop, health: Health) -> None:
    """Check regularly until `stop` is requested, also while Postgres or Kafka is unreachable."""
    logged = ""
    loop = health.loop("restores", STUCK)
    while not stop.requested:
        loop.turn()
        try:
            if note_restore(connections):
                log.error("database_restored", remedy="tidemill restored")
            reason = ""
        except (psycopg.Error, KafkaException, TidemillError) as error:
            reason = str(error).strip()
        if reason and reason != logged:
            log.warning("restores_not_checked", reason=reason)
        logged = reason
        stop.wait(CHECK_INTERVAL)


def note_restore(connections: Connections) -> bool:
    """Whether this call detects a restore. Read Kafka first: Postgres issued the versions applied there before now."""
    applied = max((each.clock.newest_version for each in latest_clocks(connections).values()), default=0)
    with psycopg.connect(
        connections.postgres_dsn, connect_timeout=CONNECT_SECONDS, options=SESSION, application_name="tidemill-sink"
    ) as postgres:
        row = postgres.execute(sql("note_restore"), {"applied": applied}).fetchone()
    return bool(row and row[0])
