"""Notices that Postgres was restored from a backup: it gives versions that were applied before (protocol I10)."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import structlog
from confluent_kafka import KafkaException

from connectors.owner_clocks import latest_clocks
from connectors.statements import sql
from connectors.stopping import Stop
from schemas.errors import TidemillError
from schemas.settings import Connections

LOOK_EVERY = timedelta(seconds=20)
CONNECT_SECONDS = 10
SESSION = "-c TimeZone=UTC -c statement_timeout=60s -c tidemill.sink=on"

log = structlog.get_logger()


def watch_restores(connections: Connections, stop: Stop) -> None:
    """Until `stop` is requested. Postgres or Kafka away is no reason to end."""
    said = ""
    while not stop.requested:
        try:
            if note_restore(connections):
                log.error("database_restored", remedy="tidemill restored")
            reason = ""
        except (psycopg.Error, KafkaException, TidemillError) as error:
            reason = str(error).strip()
        if reason and reason != said:
            log.warning("restores_not_looked_for", reason=reason)
        said = reason
        stop.wait(LOOK_EVERY)


def note_restore(connections: Connections) -> bool:
    """Whether it is noticed now. The streams are asked first: what they have read was given before."""
    applied = max((each.clock.newest_version for each in latest_clocks(connections).values()), default=0)
    with psycopg.connect(
        connections.postgres_dsn, connect_timeout=CONNECT_SECONDS, options=SESSION, application_name="tidemill-sink"
    ) as postgres:
        row = postgres.execute(sql("note_restore"), {"applied": applied}).fetchone()
    return bool(row and row[0])
