"""Checks the Postgres rights for migrations and for capturing; an error names the missing right and its remedy."""

from __future__ import annotations

import msgspec
import psycopg
from psycopg import sql as composed
from psycopg.rows import class_row

from connectors.statements import sql
from schemas.errors import TidemillError

CONNECT_SECONDS = 5


class MissingRightsError(TidemillError):
    """The role of `TIDEMILL_POSTGRES_DSN` lacks a right, or the server a setting."""


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    database: str
    role: str
    wal_level: str
    may_create: bool
    owns_schema: bool | None
    """None if the schema does not exist yet."""
    owner: str | None
    """The owner of the schema."""
    may_replicate: bool


def check_may_migrate(connection: psycopg.Connection) -> None:
    """Raises `MissingRightsError`."""
    found = _rights(connection)
    role = _quoted(connection, found.role)
    if found.owner is not None and not found.owns_schema:
        raise MissingRightsError(
            f"the schema tidemill belongs to the role {found.owner}, and {found.role} is not a member of it: "
            f"connect as {found.owner}, or let a superuser run: GRANT {_quoted(connection, found.owner)} TO {role};"
        )
    if not found.may_create:
        database = _quoted(connection, found.database)
        raise MissingRightsError(
            f"the role {found.role} may not create the schema tidemill and its publication: "
            f"let the owner of the database run: GRANT CREATE ON DATABASE {database} TO {role};"
        )


def check_may_capture(dsn: str) -> None:
    """Raises `MissingRightsError`: without these rights the connector would fail at every start."""
    with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS) as connection:
        found = _rights(connection)
        role = _quoted(connection, found.role)
    if found.wal_level != "logical":
        raise MissingRightsError(
            f"wal_level is {found.wal_level}, so Debezium cannot capture anything: let a superuser run: "
            "ALTER SYSTEM SET wal_level = 'logical'; and restart Postgres (a managed service has a parameter for it)"
        )
    if not found.may_replicate:
        raise MissingRightsError(
            f"the role {found.role} may not replicate, so Debezium cannot capture anything: let a superuser run: "
            f"ALTER ROLE {role} REPLICATION; (on RDS: GRANT rds_replication TO {role};)"
        )


def _rights(connection: psycopg.Connection) -> Rights:
    found = connection.cursor(row_factory=class_row(Rights)).execute(sql("rights")).fetchone()
    assert found is not None
    return found


def _quoted(connection: psycopg.Connection, name: str) -> str:
    return composed.Identifier(name).as_string(connection)
