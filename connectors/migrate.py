"""Brings the tables of a database up to date: numbered SQL files, each applied once, in order, and remembered."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

import psycopg

from connectors.rights import check_may_migrate
from connectors.sessions import is_shared
from schemas.errors import TidemillError

LOCK_KEY = 0x71DE_0111
"""Of the advisory lock: migrations of one database never run side by side."""

_REMEMBER = """
    create schema if not exists tidemill;
    create table if not exists tidemill.migrations (
        name text not null primary key,
        sha256 text not null,
        applied_at timestamptz not null default clock_timestamp()
    );
"""


class MigrationRefused(TidemillError):  # noqa: N818 - it reads as what happened
    """The database was migrated by other files than these, or nothing keeps two migrations apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered SQL file."""

    name: str
    sql: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql).hexdigest()


def migrations() -> list[Migration]:
    """Those of this version, in order."""
    files = (resources.files("schemas") / "tables").iterdir()
    found = [Migration(name=file.name, sql=file.read_bytes()) for file in files if file.name.endswith(".sql")]
    return sorted(found, key=lambda each: each.name)


def migrate(dsn: str) -> list[str]:
    """Applies what is missing and returns its names; raises `MigrationRefused` with a sentence."""
    return apply(dsn, migrations())


def apply(dsn: str, wanted: list[Migration]) -> list[str]:
    """Each migration is a transaction of its own, so that an error leaves the ones before it applied."""
    with psycopg.connect(dsn, autocommit=True, application_name="tidemill-migrate") as connection:
        if is_shared(connection, dsn):
            raise MigrationRefused(
                "TIDEMILL_POSTGRES_DSN leads to a pooler that gives one session to several clients (transaction mode): "
                "name Postgres itself, or a pooler in session mode"
            )
        connection.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
        check_may_migrate(connection)
        connection.execute(_REMEMBER)
        missing = _missing(wanted, _applied(connection))
        for migration in missing:
            with connection.transaction():
                connection.execute(migration.sql)
                connection.execute(
                    "insert into tidemill.migrations (name, sha256) values (%s, %s)",
                    (migration.name, migration.sha256),
                )
        return [migration.name for migration in missing]


def _applied(connection: psycopg.Connection) -> dict[str, str]:
    return dict(connection.execute("select name, sha256 from tidemill.migrations").fetchall())


def _missing(wanted: list[Migration], applied: dict[str, str]) -> list[Migration]:
    for name in sorted(applied.keys() - {migration.name for migration in wanted}):
        raise MigrationRefused(f"migration {name} is applied but not known: a newer Tidemill migrated this database")
    for migration in wanted:
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise MigrationRefused(
                f"migration {migration.name} was changed after it was applied: "
                "this database was made by another state of the code. Install the release that made it, or make it anew"
            )
    return [migration for migration in wanted if migration.name not in applied]
