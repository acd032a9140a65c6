"""Looks at Postgres, without changes: the server, the role, the publication, the slot, the tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg

from connectors.migrate import migrations as known_migrations
from connectors.migrate import newer_release
from connectors.primary import addresses
from connectors.roles import found_grants, grants
from connectors.sessions import is_shared
from connectors.settings import RetentionSettings, SourceSettings
from connectors.source import PUBLICATION
from schemas.settings import Connections, read
from tidemill.doctor.facts import History, Migrations, Offset, Postgres, Publication, Restored, Silent, Slot, silent
from tidemill.queries import one, rows
from tidemill.retention import retention
from tidemill.target import Row, connect, wall_clock

STATEMENT_SECONDS = 10
CLOCK_READINGS = 3
"""The narrowest of this many readings gives the clocks' difference."""


def look(target: Connections) -> Postgres | Silent:
    try:
        with connect(target.postgres_dsn) as postgres:
            postgres.execute("select set_config('statement_timeout', %s, false)", [f"{STATEMENT_SECONDS}s"])
            found = _postgres(postgres, is_shared=is_shared(postgres, target.postgres_dsn))
            return msgspec.structs.replace(found, hosts=len(addresses(target.postgres_dsn)))
    except psycopg.Error as error:
        return silent(error)


def look_restored(target: Connections, applied: int) -> Restored | None:
    """`applied`: the highest version that the streams had read before. None: the database does not answer."""
    try:
        with connect(target.postgres_dsn) as postgres:
            found = one(postgres, "restored")
    except psycopg.Error:
        return None
    return None if found is None else msgspec.convert(found | {"applied": applied}, Restored)


def _postgres(postgres: psycopg.Connection[Row], *, is_shared: bool) -> Postgres:
    server = one(postgres, "doctor_server")
    assert server is not None
    is_migrated, slot_name = server.pop("is_migrated"), read(SourceSettings).slot_name
    missing_rights = _missing_rights(postgres)
    return msgspec.convert(
        server
        | {
            "is_shared": is_shared,
            "missing_rights": missing_rights,
            "migrations": _migrations(postgres, missing_rights) if is_migrated else _difference({}),
            "publication": _row(postgres, "doctor_publication", {"publication": PUBLICATION}, Publication),
            "slot_name": slot_name,
            "slot": _row(postgres, "doctor_slot", {"slot_name": slot_name}, Slot),
            "history": _history(postgres) if is_migrated and not missing_rights else None,
            "ttls": read(RetentionSettings).effective(),
            "clock": clock(postgres),
            "timeout_classes": _timeout_classes(postgres) if is_migrated and not missing_rights else None,
        },
        Postgres,
    )


def _missing_rights(postgres: psycopg.Connection[Row]) -> tuple[str, ...]:
    """Of this role, or else of the roles of the deployment."""
    names = [each.name for each in grants() if each.kind == "reader" and each.sort == "table"]
    own = tuple(each["missing"] for each in rows(postgres, "doctor_rights", {"names": names}))
    if own or one(postgres, "doctor_has_roles") is None:
        return own
    known = {each["kind"]: each["name"] for each in rows(postgres, "doctor_roles")}
    missing = sorted(grants() - found_grants(postgres, known)) if known else []
    return tuple(f"{each.privilege.lower()} on {each.name} of {known.get(each.kind, each.kind)}" for each in missing)


def _timeout_classes(postgres: psycopg.Connection[Row]) -> tuple[str, ...]:
    return tuple(each["name"] for each in rows(postgres, "timeout_classes"))


def _row(postgres: psycopg.Connection[Row], query: str, values: Mapping[str, Any], kind: type) -> Any:
    found = one(postgres, query, values)
    return found and msgspec.convert(found, kind)


def _history(postgres: psycopg.Connection[Row]) -> History | None:
    found = one(postgres, "doctor_history")
    return History(**found, retention=retention(postgres)) if found else None


def _migrations(postgres: psycopg.Connection[Row], missing_rights: tuple[str, ...]) -> Migrations | None:
    if {"select on tidemill.migrations", "usage on schema tidemill"} & set(missing_rights):
        return None
    applied = {each["name"]: each["sha256"] for each in rows(postgres, "doctor_migrations")}
    return _difference(applied, newer_release(postgres))


def _difference(applied: Mapping[str, str], newer: str | None = None) -> Migrations:
    known = {each.name: each.sha256 for each in known_migrations()}
    return Migrations(
        missing=tuple(name for name in known if name not in applied),
        changed=tuple(name for name in known if applied.get(name, known[name]) != known[name]),
        newer=newer,
    )


def clock(postgres: psycopg.Connection[Row]) -> Offset:
    """How far the server's clock is ahead of this machine's."""
    readings = [_reading(postgres) for _ in range(CLOCK_READINGS)]
    return min(readings, key=lambda each: each.high - each.low)


def _reading(postgres: psycopg.Connection[Row]) -> Offset:
    before = wall_clock()
    row = postgres.execute("select clock_timestamp() as now").fetchone()
    assert row is not None
    return between(before, row["now"], wall_clock())


def between(before: datetime, there: datetime, after: datetime) -> Offset:
    """The offset of a clock that was read between two readings of this machine's clock."""
    return Offset(low=(there - after) / timedelta(seconds=1), high=(there - before) / timedelta(seconds=1))
