"""The configuration of the Debezium source: two insert-only tables into one topic, keyed by owner id (protocol I1)."""

from __future__ import annotations

import re
from datetime import timedelta

from psycopg import conninfo

from connectors.owned import REVISION, REVISION_KEY, Config, marked
from connectors.primary import Address, addresses
from connectors.settings import SourceSettings
from connectors.topics import heartbeat_topic
from schemas.errors import TidemillError
from schemas.settings import Connections
from schemas.topics import CDC, MAX_RECORD_BYTES

PUBLICATION = "tidemill"
"""The migration creates it."""
_TABLES = ("tidemill.definitions", "tidemill.requests")
_HEARTBEAT_INTERVAL = timedelta(seconds=5)
_BEAT = "update tidemill.heartbeat set at = clock_timestamp()"
_MAX_QUEUE_BYTES = 2 * MAX_RECORD_BYTES
_SSL_MODES = {"allow": "prefer"}
"""Connect's driver has all of libpq's modes but `allow`."""


class NoAddressError(TidemillError):
    """The Postgres DSN lacks an address that Connect can use."""


def source_config(connections: Connections, settings: SourceSettings, primary: int = 0) -> Config:
    """The whole desired configuration. Every value is a string, because Connect returns strings.

    `primary` is the position of the host in the DSN (`find_primary`): Debezium refuses a list of hosts.
    """
    options = {
        "name": settings.connector_name,
        REVISION_KEY: str(REVISION),
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        # The name of the offsets and, in the worker, of the metrics: it must differ between two connectors.
        "topic.prefix": connections.topic(CDC),
        **_database(connections, settings, primary),
        **_capture(settings),
        **_latency_and_limits(),
        **_heartbeat(),
        **_values(),
        **_routing(connections),
        **_producer(),
    }
    return marked(options)


def _database(connections: Connections, settings: SourceSettings, primary: int) -> Config:
    dsn = connections.postgres_dsn
    parsed = {name: str(value) for name, value in conninfo.conninfo_to_dict(dsn).items() if value is not None}
    missing = [name for name in ("user", "dbname") if name not in parsed]
    if missing:
        raise NoAddressError(f"TIDEMILL_POSTGRES_DSN names no {' and no '.join(missing)}: Connect needs both")
    host, port = _address(dsn, parsed, settings, primary)
    return {
        "database.hostname": host,
        "database.port": port,
        "database.user": connections.connect_postgres_user or parsed["user"],
        "database.password": connections.connect_postgres_password or parsed.get("password", ""),
        "database.dbname": parsed["dbname"],
        **_tls(parsed),
    }


def _address(dsn: str, parsed: dict[str, str], settings: SourceSettings, primary: int) -> Address:
    """The address of the primary, as Connect sees it."""
    known = addresses(dsn)
    if len(known) > 1 and parsed.get("target_session_attrs") != "primary":
        # With `read-write`, libpq refuses the read-only sessions of commands and pages.
        raise NoAddressError(
            "TIDEMILL_POSTGRES_DSN names several hosts: it needs target_session_attrs=primary, or processes would "
            "connect to a standby"
        )
    seen = settings.connect_postgres_host.split(",") if settings.connect_postgres_host else [host for host, _ in known]
    if len(seen) not in {1, len(known)}:
        raise NoAddressError(
            f"TIDEMILL_CONNECT_POSTGRES_HOST names {len(seen)} hosts, TIDEMILL_POSTGRES_DSN {len(known)}: name one, or "
            "as many in the same order"
        )
    host = seen[primary if len(seen) > 1 else 0]
    if not host or host.startswith("/"):
        raise NoAddressError(
            f"TIDEMILL_POSTGRES_DSN has the host {host!r}: Connect needs a TCP address; "
            "TIDEMILL_CONNECT_POSTGRES_HOST can name it"
        )
    return host, str(settings.connect_postgres_port or known[primary][1])


def _tls(parsed: dict[str, str]) -> Config:
    """The TLS options; the paths of certificates are paths on Connect's host."""
    mode = {"database.sslmode": _SSL_MODES.get(parsed["sslmode"], parsed["sslmode"])} if "sslmode" in parsed else {}
    files = {f"database.{name}": parsed[name] for name in ("sslrootcert", "sslcert", "sslkey") if name in parsed}
    return mode | files


def _capture(settings: SourceSettings) -> Config:
    return {
        "plugin.name": "pgoutput",
        "slot.name": settings.slot_name,
        # A standby keeps a copy of such a slot. Debezium makes a plain one on Postgres 16, which has no others.
        "slot.failover": "true",
        "publication.name": PUBLICATION,
        "publication.autocreate.mode": "disabled",
        "table.include.list": ",".join(_TABLES),
        "message.key.columns": ";".join(f"{table}:owner" for table in _TABLES),
        # A lost slot, or offsets older than it, lead to a new snapshot; known rows change nothing (protocol I2, I5).
        "snapshot.mode": "when_needed",
        "snapshot.max.threads": "1",
        "tombstones.on.delete": "false",
        "skipped.operations": "u,d,t",
    }


def _latency_and_limits() -> Config:
    return {
        # A request waits for half of it on average; 10 ms would take 4 % of a core, even without any changes.
        "poll.interval.ms": "25",
        "max.batch.size": "2048",
        "max.queue.size": "8192",
        "max.queue.size.in.bytes": str(_MAX_QUEUE_BYTES),
        "status.update.interval.ms": "1000",
        # After a restart of Postgres the task retries; the supervisor restarts a task that gave up.
        "retriable.restart.connector.wait.ms": "1000",
        "slot.retry.delay.ms": "1000",
    }


def _heartbeat() -> Config:
    """Advances the connector's offsets while the captured tables are idle, so that Postgres can remove its WAL."""
    return {
        "heartbeat.interval.ms": str(_HEARTBEAT_INTERVAL // timedelta(milliseconds=1)),
        "heartbeat.action.query": _BEAT,
    }


def _values() -> Config:
    return {
        "decimal.handling.mode": "string",
        "interval.handling.mode": "string",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
    }


def _routing(connections: Connections) -> Config:
    """Unwraps the row and the owner, and routes both tables into one topic, heartbeats into another one."""
    captured = {"predicate": "captured"}
    not_captured = {"predicate": "captured", "negate": "true"}
    steps = {
        "row": {
            "type": "io.debezium.transforms.ExtractNewRecordState",
            "add.fields": "table,op,lsn,source.ts_ms",
            "delete.tombstone.handling.mode": "drop",
            **captured,
        },
        "owner": {"type": "org.apache.kafka.connect.transforms.ExtractField$Key", "field": "owner", **captured},
        # Before the next step: after it the topic no longer distinguishes heartbeats from rows.
        "heartbeat": {**_renamed(heartbeat_topic(connections)), **not_captured},
        "topic": {**_renamed(connections.topic(CDC)), **captured},
    }
    predicate = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"
    return {
        "transforms": ",".join(steps),
        **{f"transforms.{step}.{name}": value for step, options in steps.items() for name, value in options.items()},
        "predicates": "captured",
        "predicates.captured.type": predicate,
        "predicates.captured.pattern": re.escape(connections.topic(CDC)) + r"\.tidemill\.(definitions|requests)",
    }


def _renamed(topic: str) -> Config:
    return {"type": "org.apache.kafka.connect.transforms.RegexRouter", "regex": ".*", "replacement": topic}


def _producer() -> Config:
    return {
        "producer.override.max.request.size": str(MAX_RECORD_BYTES),
        "producer.override.buffer.memory": str(_MAX_QUEUE_BYTES),
        "producer.override.linger.ms": "0",
        # One request in flight: meanwhile records gather in large batches of all partitions, so a bulk change needs few
        # requests. A single record does not wait.
        "producer.override.batch.size": str(256 * 1024),
        # Find out soon that a broker is dead: by default the client retries once a second and waits half a minute.
        "producer.override.retry.backoff.max.ms": "250",
        "producer.override.request.timeout.ms": "5000",
        "producer.override.max.in.flight.requests.per.connection": "1",
        "producer.override.acks": "all",
        "producer.override.enable.idempotence": "true",
    }
