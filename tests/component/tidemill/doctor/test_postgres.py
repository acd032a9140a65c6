"""The doctor finds each thing that a real Postgres lacks."""

from __future__ import annotations

from contextlib import contextmanager

import psycopg
import pytest

from connectors.primary import addresses
from infra import postgres as local
from schemas.settings import Connections
from tests.support.servers.postgres_node import running_postgres
from tidemill.doctor.check_postgres import CHECKS
from tidemill.doctor.facts import Postgres, Silent
from tidemill.doctor.finding import Level
from tidemill.doctor.look_postgres import look


@pytest.fixture
def said(tables_dsn):
    return lambda dsn=tables_dsn: findings(dsn)


def findings(dsn):
    """Name -> text of each finding that is not good."""
    facts = look(Connections(postgres_dsn=dsn))
    assert isinstance(facts, Postgres), facts
    found = [finding for check in CHECKS for finding in check(facts)]
    return {each.name: each.sentence for each in found if each.level is not Level.OK}


def execute(dsn, *statements):
    with psycopg.connect(dsn, autocommit=True) as connection:
        for each in statements:
            connection.execute(each)


def test_migrated_tables_lack_only_the_slot(said, tables_dsn):
    # The tables are copied from a template, and its migration may be more than 30 s ago.
    execute(tables_dsn, "update tidemill.heartbeat set at = clock_timestamp()")
    assert set(said()) == {"postgres.slot"}


def test_a_database_without_tables_needs_a_migration(said, empty_dsn):
    found = said(empty_dsn)
    assert "0001_words.sql" in found["postgres.migrations"]
    assert "there is no publication" in found["postgres.publication"]


def test_a_migration_that_is_forgotten_changed_or_unknown_is_found(said, tables_dsn):
    keeping = "set tidemill.keeping = 'on'"
    execute(tables_dsn, keeping, "update tidemill.migrations set sha256 = 'x' where name like '0003%'")
    assert "has other contents of 0003_schedules.sql" in said()["postgres.migrations"]
    execute(tables_dsn, keeping, "delete from tidemill.migrations where name like '0003%'")
    assert "not applied yet: 0003_schedules.sql" in said()["postgres.migrations"]


def test_a_release_that_was_rolled_back_is_told_which_one_migrated_and_that_it_may_go_on(said, tables_dsn):
    execute(tables_dsn, "insert into tidemill.migrations values ('9999_later.sql', 'x', '9.0.0')")
    sentence = said()["postgres.migrations"]
    assert sentence.startswith("release 9.0.0 has migrated this database (9999_later.sql), and this is ")
    assert sentence.endswith("its processes may go on if 9.0.0 is the release right after it")


def test_a_publication_that_is_not_whole_is_found(said, tables_dsn):
    execute(tables_dsn, "alter publication tidemill drop table tidemill.requests")
    assert "lacks tidemill.requests" in said()["postgres.publication"]
    execute(
        tables_dsn,
        "alter publication tidemill add table tidemill.requests",
        "alter publication tidemill set (publish = 'delete')",
    )
    assert "does not publish inserts" in said()["postgres.publication"]
    execute(tables_dsn, "drop publication tidemill")
    assert "there is no publication" in said()["postgres.publication"]


def test_missing_rights_of_a_role_are_listed(said, tables_dsn):
    parts = psycopg.conninfo.conninfo_to_dict(tables_dsn)
    dsn = psycopg.conninfo.make_conninfo(tables_dsn, user="poor", password=parts["password"])
    execute(tables_dsn, f"create role poor login password '{parts['password']}'")
    try:
        found = said(dsn)
        assert "usage on schema tidemill" in found["postgres.rights"]
        assert "poor has no replication right" in found["postgres.replication_right"]
        assert "postgres.migrations" not in found
        execute(
            tables_dsn,
            "grant usage on schema tidemill to poor",
            "grant select on all tables in schema tidemill to poor",
            "revoke select on tidemill.runs from poor",
            "alter role poor replication",
        )
        found = said(dsn)
        assert "missing: select on tidemill.runs" in found["postgres.rights"]
        assert "postgres.replication_right" not in found
    finally:
        execute(tables_dsn, "drop owned by poor", "drop role poor")


def test_a_missing_right_of_a_process_is_listed_with_its_role(said, tables_dsn):
    execute(tables_dsn, "revoke insert on tidemill.runs from tidemill_sink")
    assert "insert on tidemill.runs of tidemill_sink" in said()["postgres.rights"]


def test_a_slot_of_somebody_else_and_one_that_nobody_reads_are_found(said, tables_dsn, empty_dsn):
    """A slot is the server's, and of one database."""
    with slot_in(empty_dsn):
        assert "another program owns it" in said()["postgres.slot"]
    with slot_in(tables_dsn):
        assert "no client reads the replication slot" in said()["postgres.slot"]


def test_a_slot_that_standbys_copy_is_recognised(tables_dsn):
    for failover in (True, False):
        with slot_in(tables_dsn, failover=failover):
            assert look(Connections(postgres_dsn=tables_dsn)).slot.failover is failover


def test_each_host_of_the_dsn_is_counted(tables_dsn):
    ((host, port),) = addresses(tables_dsn)
    several = tables_dsn.replace(f"{host}:{port}", f"127.0.0.1:1,{host}:{port}")
    assert look(Connections(postgres_dsn=several)).hosts == 2


@contextmanager
def slot_in(dsn, *, failover=False):
    execute(dsn, f"select pg_create_logical_replication_slot('tidemill', 'pgoutput', failover => {failover})")
    yield
    execute(dsn, "select pg_drop_replication_slot('tidemill')")


def test_a_server_that_was_not_made_for_capture_is_told_which_settings_it_needs(monkeypatch):
    wrong = {"wal_level": "replica", "max_slot_wal_keep_size": "-1", "idle_replication_slot_timeout": "60s"}
    monkeypatch.setattr(local, "SETTINGS", {**local.SETTINGS, **wrong})
    with running_postgres() as server:
        found = findings(server("postgres"))
    assert "wal_level is replica" in found["postgres.wal_level"]
    assert "no limit" in found["postgres.max_slot_wal_keep_size"]
    assert "is 60 s" in found["postgres.idle_replication_slot_timeout"]


def test_a_server_that_is_not_there_is_silent_with_its_reason(tables_dsn):
    away = psycopg.conninfo.make_conninfo(tables_dsn, password="wrong")
    silent = look(Connections(postgres_dsn=away))
    assert isinstance(silent, Silent)
    assert "password" in silent.reason
