"""Migrations are applied once, in order, one at a time; a changed or unknown one is refused."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from importlib import metadata

import psycopg
import pytest

from connectors.migrate import (
    NEWER_REMEDY,
    Migration,
    MigrationRefused,
    apply,
    migrate,
    migrations,
    release,
    warn_of_newer_release,
)
from infra.postgres_installation import _wheel_programs
from tests.support.servers.pooler import transaction_pooler
from tests.support.waiting import eventually

NAMES = [migration.name for migration in migrations()]
COLUMN = Migration(name="9999_column.sql", sql=b"alter table tidemill.jobs add column later int")


def schema(dsn):
    """A dump of the schema without the lines that always differ."""
    dump = [_wheel_programs() / "bin" / "pg_dump", "--schema-only", "--no-comments", dsn]
    lines = subprocess.run(dump, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if not line.startswith(("\\restrict", "\\unrestrict"))]


def waiting(dsn):
    with psycopg.connect(dsn) as connection:
        return connection.execute("select from pg_locks where not granted").fetchall()


def test_migrating_twice_changes_nothing(empty_dsn):
    assert migrate(empty_dsn) == NAMES
    before = schema(empty_dsn)
    assert migrate(empty_dsn) == []
    assert schema(empty_dsn) == before


def test_the_schema_is_the_sum_of_its_migrations(empty_dsn, tables_dsn):
    for end in range(1, len(NAMES) + 1):
        assert apply(empty_dsn, migrations()[:end]) == [NAMES[end - 1]]
    assert migrate(empty_dsn) == []  # the roles and the weeks
    assert schema(empty_dsn) == schema(tables_dsn)


def test_two_concurrent_migrations_apply_each_file_once(empty_dsn):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(migrate, [empty_dsn] * 2)
    assert sorted(first + second) == NAMES


def test_a_pooler_in_transaction_mode_is_refused(empty_dsn):
    with transaction_pooler(empty_dsn) as dsn, pytest.raises(MigrationRefused, match="pooler"):
        migrate(dsn)


def test_a_changed_migration_is_refused(tables_dsn):
    changed = [replace(migrations()[0], sql=b"select 1"), *migrations()[1:]]
    with pytest.raises(MigrationRefused, match=r"migration 0001_words\.sql was changed after it was applied"):
        apply(tables_dsn, changed)


def test_a_release_that_was_rolled_back_changes_nothing_and_says_what_to_do(tables_dsn):
    later = Migration(name="9999_later.sql", sql=b"alter table tidemill.jobs add column later int")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "version", lambda _: "9.0.0")
        assert apply(tables_dsn, [*migrations(), later]) == ["9999_later.sql"]
    before = schema(tables_dsn)
    with pytest.raises(MigrationRefused) as refused:
        migrate(tables_dsn)
    assert schema(tables_dsn) == before
    assert str(refused.value) == (
        f"release 9.0.0 has migrated this database (9999_later.sql), and this is {release()}: its processes may go on "
        f"if 9.0.0 is the release right after it; nothing was changed: {NEWER_REMEDY}"
    )


def test_a_process_of_a_release_that_was_rolled_back_says_so_and_begins(tables_dsn, capsys):
    warn_of_newer_release(tables_dsn)
    assert capsys.readouterr().out == ""
    with psycopg.connect(tables_dsn) as connection:
        connection.execute("insert into tidemill.migrations values ('9999_later.sql', 'x', '9.0.0')")
    warn_of_newer_release(tables_dsn)
    assert "release 9.0.0 has migrated this database (9999_later.sql)" in capsys.readouterr().out


def test_a_lock_that_is_not_to_be_had_is_named_with_its_holder_and_nothing_is_changed(tables_dsn):
    with psycopg.connect(tables_dsn, application_name="a-report") as holder:
        holder.execute("select * from tidemill.jobs")
        pid, before = holder.info.backend_pid, schema(tables_dsn)
        with pytest.raises(MigrationRefused) as refused:
            apply(tables_dsn, [*migrations(), COLUMN], timedelta(seconds=1))
        assert schema(tables_dsn) == before
    said = str(refused.value)
    assert f"held by pid {pid} (a-report, idle in transaction since 2" in said
    assert "UTC: select * from tidemill.jobs); nothing of it was applied" in said
    assert apply(tables_dsn, [*migrations(), COLUMN]) == [COLUMN.name]


def test_who_asks_after_the_migration_gets_through_between_two_tries_and_so_does_the_migration(tables_dsn):
    with psycopg.connect(tables_dsn) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute("select * from tidemill.jobs")
        applied = pool.submit(apply, tables_dsn, [*migrations(), COLUMN], timedelta(seconds=2))
        eventually(lambda: waiting(tables_dsn), what="the migration waits")
        with psycopg.connect(tables_dsn) as writer:
            assert writer.execute("select count(*) from tidemill.jobs").fetchone() == (0,)
        holder.rollback()
        assert applied.result() == [COLUMN.name]


def test_a_failing_migration_is_rolled_back_and_earlier_ones_stay(empty_dsn):
    broken = replace(migrations()[1], sql=b"create table tidemill.half (); select 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        apply(empty_dsn, [migrations()[0], broken])
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("select to_regclass('tidemill.half')").fetchone()[0] is None
    assert migrate(empty_dsn) == NAMES[1:]


def test_a_database_without_tenants_knows_them_after_the_migration(empty_dsn):
    """Of jobs, of DAGs, and of what was deleted."""
    apply(empty_dsn, [each for each in migrations() if each.name < "0015"])
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        columns = "(job_id, tenant, executable) values (%s, 'a', 's3://bucket/x')"
        for job in ("kept", "gone"):
            connection.execute(f"insert into tidemill.jobs {columns}", [job])
        connection.execute("delete from tidemill.jobs where job_id = 'gone'")
        with connection.transaction():
            connection.execute("insert into tidemill.dags (dag_id, tenant) values ('dag', 'b')")
            connection.execute(
                "insert into tidemill.dag_nodes (dag_id, node_id, executable) values ('dag', 'n', 's3://bucket/x')"
            )
        migrate(empty_dsn)
        found = connection.execute("select owner, tenant from tidemill.owners").fetchall()
    assert dict(found) == {"kept": "a", "gone": "a", "dag": "b"}
