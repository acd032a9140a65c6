"""Pauses, resumes and deletes jobs and DAGs, which share these commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from tidemill.names import no_owner
from tidemill.output import say, show_json
from tidemill.queries import text
from tidemill.target import Row, database


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    noun: str
    table: str
    key: str

    def found(self, postgres: psycopg.Connection[Row], name: str, row: Row | None) -> Row:
        if row is None:
            raise no_owner(postgres, self.noun.lower(), name)
        return row

    def say(self, name: str, what: str, *, as_json: bool, **facts: Any) -> None:
        """Print a sentence, or the facts as JSON."""
        if as_json:
            show_json({self.key: name, **facts})
        else:
            say(f"{self.noun[0].upper()}{self.noun[1:]} {name} {what}.")


JOB = Owner(noun="job", table="jobs", key="job_id")
DAG = Owner(noun="DAG", table="dags", key="dag_id")


def pause(owner: Owner, data: Path, name: str, note: str | None, *, as_json: bool) -> None:
    with database(data) as postgres:
        change(postgres, owner, "pause", name, note=note)
    owner.say(name, "is paused", as_json=as_json, paused=True)


def resume(owner: Owner, data: Path, name: str, catchup: str | None, *, as_json: bool) -> None:
    with database(data) as postgres, postgres.transaction():
        resume_once(postgres, owner, name, catchup)
    owner.say(name, "is resumed", as_json=as_json, paused=False)


def resume_once(postgres: psycopg.Connection[Row], owner: Owner, name: str, catchup: str | None) -> None:
    """Resume in the caller's transaction. A second update restores `catchup_after_pause` for the next pause."""
    before = change(postgres, owner, "resume", name, catchup=catchup)
    postgres.execute("set constraints all immediate")  # makes the DAG's version now, before the next update
    change(postgres, owner, "restore_catchup_after_pause", name, **before)


def delete(owner: Owner, data: Path, name: str, *, as_json: bool) -> None:
    with database(data) as postgres:
        change(postgres, owner, "delete", name)
    owner.say(name, "is deleted", as_json=as_json, deleted=True)


def change(postgres: psycopg.Connection[Row], owner: Owner, statement: str, name: str, **values: Any) -> Row:
    """Run a statement on the row of a job or DAG: its file has placeholders for the table. Raises `NotFoundError`."""
    sql = SQL(text(statement)).format(table=Identifier(owner.table), key=Identifier(owner.key))
    return owner.found(postgres, name, postgres.execute(sql, {"name": name, **values}).fetchone())
