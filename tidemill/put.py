"""`tidemill job put`: writes one row of `tidemill.jobs`, and stores its program under its hash."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import orjson
import psycopg
import typer
from psycopg.sql import SQL, Composed, Identifier, Literal

from connectors.objects import Objects
from schemas.job import JobSpec
from schemas.settings import Connections
from schemas.words import CatchupPolicy, OverlapPolicy
from tidemill.complete import job_names
from tidemill.confined import SIZES, in_bytes
from tidemill.given import check_json
from tidemill.names import nearest, no_owner
from tidemill.objects import store_command, store_content, store_executable, storing
from tidemill.output import say
from tidemill.owners import JOB
from tidemill.python_program import pack
from tidemill.target import DEFAULT_DATA, AsJson, Data, NotFoundError, Row, UsageError, connect, connections

Text = Annotated[str | None, typer.Option()]
Columns = dict[str, Any]
SETTABLE = frozenset(JobSpec.__struct_fields__) - {"job_id"}
SET_BY_TRIGGER = frozenset({"version", "updated_at"})


def words_of(enum: type[Enum]) -> str:
    return ", ".join(each.value for each in enum) + "."


def put(  # noqa: PLR0917 - an option of a command is an argument of its function
    name: Annotated[str, typer.Argument(metavar="NAME", help="The job's id.", autocompletion=job_names)],
    data: Data = DEFAULT_DATA,
    schedule: Annotated[str | None, typer.Option(help="Cron, @daily, '@every 90s', '@at …'; '' for none.")] = None,
    executable: Annotated[str | None, typer.Option(help="A local file to store, or s3://bucket/key.")] = None,
    command: Annotated[str | None, typer.Option(help="A command line for /bin/sh.")] = None,
    python: Annotated[str | None, typer.Option(help="A function to pack, as package.module:function.")] = None,
    project: Annotated[Path, typer.Option(help="The directory of --python's package.")] = Path(),
    sha256: Annotated[str | None, typer.Option(help="The hash of an s3:// executable.")] = None,
    timezone: Annotated[str | None, typer.Option(help="The schedule's time zone, such as Europe/Berlin.")] = None,
    timeout: Annotated[str | None, typer.Option(help="The limit of an attempt, such as 90s or 1h30m.")] = None,
    timeout_class: Annotated[str | None, typer.Option(help="The class to start in, such as 10s, 1m, 1h.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="The most attempts of a run.")] = None,
    overlap: Annotated[str | None, typer.Option(help=f"While another is open: {words_of(OverlapPolicy)}")] = None,
    catchup: Annotated[str | None, typer.Option(help=f"For late occurrences: {words_of(CatchupPolicy)}")] = None,
    payload: Annotated[str | None, typer.Option(help="JSON for standard input.")] = None,
    arg: Annotated[list[str] | None, typer.Option(help="An argument; repeat it for more.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; repeat it for more.")] = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant that owns the job.")] = None,
    sandbox: Annotated[str | None, typer.Option(help="How an attempt is isolated: basic or strict.")] = None,
    memory: Annotated[str | None, typer.Option(help="The most memory of an attempt, such as 512MB.")] = None,
    network: Annotated[str | None, typer.Option(help="The network of an attempt: any or none.")] = None,
    column: Annotated[list[str] | None, typer.Option("--set", help="COLUMN=VALUE for any other column.")] = None,
    show_sql: Annotated[bool, typer.Option("--show-sql", help="Print the SQL statement.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a job, or change the given columns of an existing one."""
    check_json("--payload", payload)
    said: Columns = {"schedule": schedule, "timezone": timezone, "overlap_policy": overlap, "catchup_policy": catchup}
    said |= {"timeout": timeout, "timeout_class": timeout_class, "max_attempts": max_attempts, "tenant": tenant}
    said |= {"payload": payload, "args": _array(arg), "env": _object(env)}
    others = given(said | {"sandbox": sandbox, "memory": memory, "network": network}, column or [])
    target, packed = connections(data), pack(python, project) if python is not None else None
    with storing(target):
        columns = program(target, executable, command, sha256, packed) | others
        version = put_row(name, columns, target, show_sql=show_sql)
    JOB.say(name, f"is version {version}", as_json=as_json, version=version)


def given(options: Mapping[str, Any], pairs: list[str]) -> Columns:
    """The given columns; an empty value is null."""
    columns = {name: value for name, value in options.items() if value is not None}
    set_by_name = dict(_pair("--set", each) for each in pairs)
    for name in sorted(set_by_name.keys() & SET_BY_TRIGGER):
        raise UsageError(f"--set {name}={set_by_name[name]} would be ignored: the table sets {name} itself")
    for name in sorted(set_by_name.keys() - SETTABLE):
        near = nearest(name, SETTABLE)
        raise UsageError(f"--set {name}={set_by_name[name]}: a job has no such column" + _meant(name, near))
    columns |= set_by_name
    return {name: _value(name, value) for name, value in columns.items()}


def _value(name: str, value: Any) -> Any:
    if value == "":
        return None
    return in_bytes(name, value) if name in SIZES else value


def program(
    target: Connections,
    executable: str | None,
    command: str | None,
    sha256: str | None,
    packed: bytes | None = None,
) -> Columns:
    """The columns `executable` and `sha256`; a file, a command or a packed function is stored first."""
    if packed is not None:
        if (executable, command, sha256) != (None, None, None):
            raise UsageError("--python excludes --executable, --command and --sha256")
        return store_content(Objects(target), packed)
    if executable is not None and command is not None:
        raise UsageError("--executable and --command exclude each other")
    if sha256 is not None and (command is not None or not (executable or "s3://").startswith("s3://")):
        raise UsageError("--sha256 is only for an s3:// executable; the hash of a file or command is computed")
    if command is not None:
        return store_command(Objects(target), command)
    if executable is None:
        return {} if sha256 is None else {"sha256": sha256}
    if executable.startswith("s3://"):
        return {"executable": executable, "sha256": sha256}
    return store_executable(Objects(target), Path(executable))


def statement(name: str, columns: Mapping[str, Any]) -> Composed:
    """An upsert; without a program, an update of an existing job."""
    assignments = SQL(",\n    ").join(
        SQL("{} = {}").format(Identifier(each), Literal(value)) for each, value in columns.items()
    )
    if "executable" not in columns:
        return SQL("update tidemill.jobs set\n    {}\nwhere job_id = {}\nreturning job_id, version").format(
            assignments, Literal(name)
        )
    names = SQL(", ").join(map(Identifier, ["job_id", *columns]))
    values = SQL(", ").join(map(Literal, [name, *columns.values()]))
    return SQL(
        "insert into tidemill.jobs ({})\nvalues ({})\non conflict (job_id) do update set\n    {}\n"
        "returning job_id, version"
    ).format(names, values, assignments)


def put_row(name: str, columns: Columns, target: Connections, *, show_sql: bool) -> int:
    """Write the row, and return its version."""
    if not columns:
        raise UsageError(f"job {name!r} has nothing to change: give a program, a schedule or another column")
    with connect(target.postgres_dsn) as postgres:
        if show_sql:
            say(f"{statement(name, columns).as_string(postgres)};")
        row = write_columns(postgres, name, columns)
        if row is None:
            meant = no_owner(postgres, "job", name)
            raise NotFoundError(f"{meant}; a new one needs --executable or --command")
    return int(row["version"])


def write_columns(postgres: psycopg.Connection[Row], name: str, columns: Columns) -> Row | None:
    """Write the columns of a job: its id and new version; None: there is no such job, and no program for a new one.

    Raises `UsageError` for a value of the wrong type, and the database's refusal.
    """
    try:
        return postgres.execute(statement(name, columns)).fetchone()
    except psycopg.DataError as error:
        raise UsageError(with_column(error, columns)) from error


def with_column(error: psycopg.DataError, columns: Columns) -> str:
    """Add the column's name: for a value of the wrong type, the database names only the value."""
    said = error.diag.message_primary or str(error)
    named = next((name for name, value in columns.items() if value and said.endswith(f'"{value}"')), None)
    example = "; write such as 90s or '5 minutes'" if "interval" in said else ""
    return f"{named}: {said}{example}" if named else said


def _meant(name: str, near: str | None) -> str:
    if name == "job_id":
        return "; NAME is its id, and a job with another id is another job"
    return f"; did you mean {near}?" if near else ""


def _array(values: list[str] | None) -> str | None:
    return orjson.dumps(values).decode() if values else None


def _object(pairs: list[str] | None) -> str | None:
    return orjson.dumps(dict(_pair("--env", each) for each in pairs)).decode() if pairs else None


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"{option} {text!r} is not of the form NAME=VALUE")
    return name, value
