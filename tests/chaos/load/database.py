"""Carries out acts in Postgres: the statements, and whether the answer is yes, no, or none."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tests.chaos.load.plan import Ask, Define, Owner
from tidemill.target import Row

EFFECTS = """
create table if not exists public.chaos_effects (
    number bigint generated always as identity, run_id text not null, attempt int not null, token bigint not null,
    at timestamptz not null default clock_timestamp()
)
"""
RETRY_INTERVAL = timedelta(seconds=5)
TIMEOUT = timedelta(seconds=60)
GRACE = timedelta(seconds=2)
"""`cancel_grace`: so long a stubborn process goes on after TERM."""


class Programs:
    """Where the program is, and what its processes need to know."""

    def __init__(self, uri: str, journal: Path, seed: int, dsn: str, psql: Path) -> None:
        self.uri, self._journal, self._seed, self._dsn, self._psql = uri, journal, seed, dsn, psql

    def columns(self, owner: Owner) -> dict[str, Any]:
        """The columns of a job or node that come from its behaviour."""
        how = owner.behaviour
        env = {
            "CHAOS_JOURNAL": str(self._journal),
            "CHAOS_SEED": str(self._seed),
            "CHAOS_LEAST_MS": str(how.least_ms),
            "CHAOS_MOST_MS": str(how.most_ms),
            "CHAOS_FAILS": str(how.fails),
            "CHAOS_STUBBORN": "yes" if how.stubborn else "no",
            "CHAOS_DSN": self._dsn if how.fenced else "",
            "CHAOS_PSQL": str(self._psql),
        }
        return {
            "executable": self.uri,
            "env": Jsonb(env),
            "unveil": [f"rw:{self._journal.parent}", f"rx:{self._psql.parents[3]}"],
            "max_attempts": how.max_attempts,
            "max_interval": RETRY_INTERVAL,
            "timeout": TIMEOUT,
            "cancel_grace": GRACE,
        }


def define(database: psycopg.Connection[Row], step: Define, programs: Programs) -> datetime:
    """Returns the database's time. Idempotent, so that it may be repeated after a lost answer."""
    owner, spec = step.owner, step.owner.spec
    is_dag = spec.nodes is not None
    table, key = ("dags", "dag_id") if is_dag else ("jobs", "job_id")
    columns: dict[str, Any] = {
        "schedule": spec.schedule,
        "paused": spec.paused,
        "overlap_policy": spec.overlap_policy,
        "on_delete": spec.on_delete,
    }
    if not is_dag:
        columns |= programs.columns(owner)
    with database.transaction():
        if step.deleted:
            database.execute(f"delete from {table} where {key} = %s", [owner.name])
        elif not _update(database, table, key, owner.name, columns):
            _insert(database, table, {key: owner.name, **columns})
            for node_id, needed in (spec.nodes or {}).items():
                node = {"dag_id": owner.name, "node_id": node_id, "depends_on": list(needed)}
                _insert(database, "dag_nodes", node | programs.columns(owner))
        return _now(database)


def ask(database: psycopg.Connection[Row], step: Ask) -> datetime:
    """Idempotent: a request that is already there is not changed."""
    with database.transaction():
        columns: dict[str, Any] = {
            "request_id": step.request_id,
            "kind": step.kind,
            "dag_id" if step.is_dag else "job_id": step.owner,
            "run_id": step.run_id,
        }
        if step.run_in_seconds is not None:
            columns["run_at"] = _now(database) + timedelta(seconds=step.run_in_seconds)
        known = "select from requests where request_id = %s and owner = %s"
        if not database.execute(known, [step.request_id, step.owner]).fetchone():
            _insert(database, "requests", columns)
        return _now(database)


def run_at(database: psycopg.Connection[Row], step: Ask) -> datetime | None:
    row = database.execute(
        "select run_at from requests where request_id = %s and owner = %s", [step.request_id, step.owner]
    ).fetchone()
    return row["run_at"] if row else None


def _now(database: psycopg.Connection[Row]) -> datetime:
    row = database.execute("select clock_timestamp() as now").fetchone()
    assert row is not None
    now: datetime = row["now"]
    return now


def _update(database: psycopg.Connection[Row], table: str, key: str, name: str, columns: dict[str, Any]) -> bool:
    changes = ", ".join(f'"{column}" = %({column})s' for column in columns)
    statement = f"update {table} set {changes} where {key} = %(name)s"
    return database.execute(statement.encode(), columns | {"name": name}).rowcount > 0


def _insert(database: psycopg.Connection[Row], table: str, columns: dict[str, Any]) -> None:
    names = ", ".join(f'"{column}"' for column in columns)
    marks = ", ".join(f"%({column})s" for column in columns)
    database.execute(f"insert into {table} ({names}) values ({marks})".encode(), columns)
