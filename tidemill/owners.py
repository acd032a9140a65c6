"""What jobs and DAGs have in common for those who keep them: they are paused, resumed and deleted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from tidemill.names import no_owner
from tidemill.output import say, show_json
from tidemill.place import Row, database
from tidemill.queries import text


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
        """What was done; as JSON the facts."""
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
    owner.say(name, "goes on", as_json=as_json, paused=False)


def resume_once(postgres: psycopg.Connection[Row], owner: Owner, name: str, catchup: str | None) -> None:
    """In the caller's transaction; two changes, so that `catchup` is said for this pause alone."""
    before = change(postgres, owner, "resume", name, catchup=catchup)
    postgres.execute("set constraints all immediate")  # a DAG has a version for each change that was looked at
    change(postgres, owner, "restore_catchup_after_pause", name, **before)


def delete(owner: Owner, data: Path, name: str, *, as_json: bool) -> None:
    with database(data) as postgres:
        change(postgres, owner, "delete", name)
    owner.say(name, "is deleted", as_json=as_json, deleted=True)


def change(postgres: psycopg.Connection[Row], owner: Owner, statement: str, name: str, **values: Any) -> Row:
    """Raises `NotFoundError`. The statement's file leaves open whose row it is."""
    sql = SQL(text(statement)).format(table=Identifier(owner.table), key=Identifier(owner.key))
    return owner.found(postgres, name, postgres.execute(sql, {"name": name, **values}).fetchone())
