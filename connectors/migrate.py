"""Migrates a database: applies each numbered SQL file once, in order, and records it in `tidemill.migrations`."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata, resources
from typing import Any

import psycopg
import structlog
from psycopg.errors import LockNotAvailable
from psycopg.rows import scalar_row

from connectors.blockers import blockers_of
from connectors.rights import check_may_migrate
from connectors.roles import bring_roles
from connectors.sessions import is_shared
from connectors.statements import sql
from schemas.errors import TidemillError

LOCK_KEY = 0x71DE_0111
"""The advisory lock: only one process migrates a database at a time."""
LOCK_TIMEOUT = timedelta(seconds=5)
"""How long a migration waits for one lock; later requests for the same table wait behind it."""
TRIES = 3
OTHER_MIGRATE_TIMEOUT = timedelta(minutes=2)
"""How long to wait for the end of another `tidemill migrate`; no other session waits behind this lock."""

NEWER_REMEDY = (
    "install the newer one again before the next `tidemill migrate`, or, to stay, restore the backup from before it "
    "(docs/upgrade.md)"
)
_CONNECT_SECONDS = 5
_CREATE_TABLE = """
    create schema if not exists tidemill;
    create table if not exists tidemill.migrations (
        name text not null primary key,
        sha256 text not null,
        release text not null,
        applied_at timestamptz not null default clock_timestamp()
    );
"""

log = structlog.get_logger()


class MigrationRefused(TidemillError):  # noqa: N818 - it names what happened
    """Another release has migrated the database, the DSN leads to a transaction pooler, or a lock is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered SQL file."""

    name: str
    sql: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql).hexdigest()


def migrations() -> list[Migration]:
    """The migrations of this release, in order."""
    files = (resources.files("schemas") / "tables").iterdir()
    found = [Migration(name=file.name, sql=file.read_bytes()) for file in files if file.name.endswith(".sql")]
    return sorted(found, key=lambda each: each.name)


def release() -> str:
    """The version of this release."""
    return metadata.version("tidemill")


def migrate(dsn: str, role_prefix: str | None = None) -> list[str]:
    """Apply the missing migrations, and give the roles their rights; returns the names of the migrations.

    Raises `MigrationRefused` and `MissingRightsError`.
    """
    applied = apply(dsn, migrations())
    bring_roles(dsn, role_prefix)
    _make_weeks(dsn)
    return applied


def _make_weeks(dsn: str) -> None:
    """The sink makes them ahead. Without them the first change of a job would, and others would wait for its commit."""
    with psycopg.connect(dsn, application_name="tidemill-migrate") as connection:
        connection.execute(sql("make_weeks_ahead"))


def apply(dsn: str, wanted: list[Migration], lock_timeout: timedelta = LOCK_TIMEOUT) -> list[str]:
    """Apply each migration in its own transaction, so that an error keeps the migrations before it."""
    with psycopg.connect(dsn, autocommit=True, application_name="tidemill-migrate") as connection:
        _exclude_others(dsn, connection)
        check_may_migrate(connection)
        connection.execute(_CREATE_TABLE)
        missing = _missing(wanted, _applied(connection), newer_release(connection, wanted))
        _set_lock_timeout(connection, lock_timeout)
        for migration in missing:
            _apply_one(dsn, connection, migration, lock_timeout)
        return [migration.name for migration in missing]


def _exclude_others(dsn: str, connection: psycopg.Connection) -> None:
    if is_shared(connection, dsn):
        raise MigrationRefused(
            "TIDEMILL_POSTGRES_DSN leads to a pooler that gives one session to several clients (transaction mode): "
            "name Postgres itself, or a pooler in session mode"
        )
    _set_lock_timeout(connection, OTHER_MIGRATE_TIMEOUT)
    with blockers_of(dsn, connection) as blockers:
        try:
            connection.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
        except LockNotAvailable as error:
            raise MigrationRefused(f"another `tidemill migrate` has not ended: {blockers}; try again later") from error


def newer_release(connection: psycopg.Connection[Any], known: list[Migration] | None = None) -> str | None:
    """A sentence that names the newer release which has migrated this database; None if there is none."""
    names = [each.name for each in (migrations() if known is None else known)]
    cursor = connection.cursor(row_factory=scalar_row)
    return cursor.execute(sql("newer_release"), {"known": names, "release": release()}).fetchone()


def warn_of_newer_release(dsn: str) -> None:
    """Log a warning at the start of a process. An unreachable database is ignored here: later code reports it."""
    try:
        with psycopg.connect(dsn, connect_timeout=_CONNECT_SECONDS) as connection:
            newer = newer_release(connection)
    except psycopg.Error:
        return
    if newer:
        log.warning("newer_release", reason=f"{newer}; {NEWER_REMEDY}")


def _apply_one(dsn: str, connection: psycopg.Connection, migration: Migration, lock_timeout: timedelta) -> None:
    """Apply a migration in at most `TRIES` tries. Between two it requests no lock, so that waiting sessions go on."""
    with blockers_of(dsn, connection) as blockers:
        for left in reversed(range(TRIES)):
            try:
                with connection.transaction():
                    connection.execute(migration.sql)
                    connection.execute(
                        "insert into tidemill.migrations (name, sha256, release) values (%s, %s, %s)",
                        (migration.name, migration.sha256, release()),
                    )
            except LockNotAvailable as error:
                if not left:
                    raise MigrationRefused(
                        f"migration {migration.name} did not get a lock in {TRIES} times "
                        f"{lock_timeout.total_seconds():g} s: {blockers}; nothing of it was applied: let that session "
                        "end, or end it with `select pg_terminate_backend(pid)`, and run `tidemill migrate` again"
                    ) from error
                time.sleep(lock_timeout.total_seconds())
            else:
                return


def _set_lock_timeout(connection: psycopg.Connection, timeout: timedelta) -> None:
    milliseconds = timeout // timedelta(milliseconds=1)
    connection.execute("select set_config('lock_timeout', %s, false)", (f"{milliseconds}ms",))


def _applied(connection: psycopg.Connection) -> dict[str, str]:
    return dict(connection.execute("select name, sha256 from tidemill.migrations").fetchall())


def _missing(wanted: list[Migration], applied: dict[str, str], newer: str | None) -> list[Migration]:
    if newer:
        raise MigrationRefused(f"{newer}; nothing was changed: {NEWER_REMEDY}")
    for migration in wanted:
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise MigrationRefused(
                f"migration {migration.name} was changed after it was applied: "
                "this database was made by another state of the code. Install the release that made it, or make it anew"
            )
    return [migration for migration in wanted if migration.name not in applied]
