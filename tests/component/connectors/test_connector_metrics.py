"""The figures of a replication slot come from Postgres, which may be silent."""

from __future__ import annotations

import socket
import time

import psycopg
import pytest

from connectors.connector_metrics import SLOT_INTERVAL, SLOT_SECONDS, UNKNOWN, ConnectorMetrics, SlotWal, slot_wal
from observe.registry import Registry

SLOT = "watched"


@pytest.fixture
def database(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True) as found:
        found.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [SLOT])
        yield found
        found.execute("select pg_drop_replication_slot(%s)", [SLOT])


def test_the_slot_of_a_connector_that_does_not_read_lags_and_keeps_what_is_written(database, tables_dsn):
    before = slot_wal(tables_dsn, SLOT)
    database.execute("create table much as select repeat('x', 1000) as text from generate_series(1, 1000)")
    after = slot_wal(tables_dsn, SLOT)
    assert after.lag_bytes - before.lag_bytes > 1_000_000
    assert after.kept_bytes >= after.lag_bytes
    assert not after.is_lost


def test_without_a_slot_nothing_is_kept(tables_dsn):
    assert slot_wal(tables_dsn, "no such slot") == SlotWal()


def test_a_server_that_accepts_and_never_answers_is_given_up_soon(tables_dsn):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        assert slot_wal(f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x", SLOT) is UNKNOWN
    assert time.monotonic() - began < 2 * SLOT_SECONDS


def test_postgres_is_asked_once_an_interval_however_often_the_supervisor_looks(database, tables_dsn):
    now, registry = 0.0, Registry()
    metrics = ConnectorMetrics(registry, lambda: now)
    metrics.ask_for_slot(tables_dsn, SLOT)
    first = registry.prometheus.get_sample_value("tidemill_slot_lag_bytes")
    database.execute("create table more as select repeat('x', 1000) as text from generate_series(1, 1000)")
    now = SLOT_INTERVAL.total_seconds() - 1
    metrics.ask_for_slot(tables_dsn, SLOT)
    assert registry.prometheus.get_sample_value("tidemill_slot_lag_bytes") == first
    now = SLOT_INTERVAL.total_seconds()
    metrics.ask_for_slot(tables_dsn, SLOT)
    assert registry.prometheus.get_sample_value("tidemill_slot_lag_bytes") > first
