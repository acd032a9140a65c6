"""Migrations: applied once, in order, one at a time; a changed or unknown one is refused."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from connectors.migrate import MigrationRefused, apply, migrate, migrations
from infra.postgres_place import _wheel_programs
from tests.support.servers.pooler import transaction_pooler

NAMES = [migration.name for migration in migrations()]


def schema(dsn):
    """What a dump says, without the lines that differ from dump to dump."""
    dump = [_wheel_programs() / "bin" / "pg_dump", "--schema-only", "--no-comments", dsn]
    lines = subprocess.run(dump, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if not line.startswith(("\\restrict", "\\unrestrict"))]


def test_a_second_time_is_nothing(empty_dsn):
    assert migrate(empty_dsn) == NAMES
    before = schema(empty_dsn)
    assert migrate(empty_dsn) == []
    assert schema(empty_dsn) == before


def test_the_schema_is_the_sum_of_its_migrations(empty_dsn, tables_dsn):
    for end in range(1, len(NAMES) + 1):
        assert apply(empty_dsn, migrations()[:end]) == [NAMES[end - 1]]
    assert schema(empty_dsn) == schema(tables_dsn)


def test_two_at_once_apply_each_migration_once(empty_dsn):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(migrate, [empty_dsn] * 2)
    assert sorted(first + second) == NAMES


def test_a_pooler_that_gives_one_session_to_several_clients_is_refused(empty_dsn):
    with transaction_pooler(empty_dsn) as dsn, pytest.raises(MigrationRefused, match="pooler"):
        migrate(dsn)


def test_a_migration_that_was_changed_is_refused(tables_dsn):
    changed = [replace(migrations()[0], sql=b"select 1"), *migrations()[1:]]
    with pytest.raises(MigrationRefused, match=r"migration 0001_words\.sql was changed after it was applied"):
        apply(tables_dsn, changed)


def test_a_database_of_a_newer_version_is_refused(tables_dsn):
    with pytest.raises(MigrationRefused, match=f"migration {NAMES[-1]} is applied but not known"):
        apply(tables_dsn, migrations()[:-1])


def test_a_migration_that_fails_leaves_nothing_of_itself_and_keeps_those_before(empty_dsn):
    broken = replace(migrations()[1], sql=b"create table tidemill.half (); select 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        apply(empty_dsn, [migrations()[0], broken])
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("select to_regclass('tidemill.half')").fetchone()[0] is None
    assert migrate(empty_dsn) == NAMES[1:]
