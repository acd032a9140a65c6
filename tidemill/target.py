"""Finds the stack of a command: in the data folder, otherwise by the environment; opens database connections."""

from __future__ import annotations

import getpass
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import psycopg
import typer
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from infra import stack
from schemas.errors import TidemillError
from schemas.settings import Connections, read
from tidemill import json_text

Data = Annotated[
    Path, typer.Option("--data", envvar="TIDEMILL_DATA", help="The folder of a local stack.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_DATA = Path(".tidemill")
CONNECT_SECONDS = 5
READ_ONLY = "-c default_transaction_read_only=on"

Row = dict[str, Any]


class NotFoundError(TidemillError):
    """The subject of the command does not exist. The exit code is 1."""


class RefusedError(TidemillError):
    """The request was refused. The exit code is 1."""


class ReplicaError(TidemillError):
    """The read replica does not answer."""


class UsageError(TidemillError):
    """An argument is invalid. The exit code is 2."""


def connections(data: Path) -> Connections:
    """The addresses of the stack that runs in `data`, otherwise those of the environment."""
    if stack.status(data) is not None:
        return _from(stack.environment(data))
    if "TIDEMILL_POSTGRES_DSN" not in os.environ:
        raise NotFoundError(
            f"no stack runs in {data} and TIDEMILL_POSTGRES_DSN is not set: start one with `tidemill up`, "
            "or name its folder with --data"
        )
    return read(Connections)


def database(data: Path) -> psycopg.Connection[Row]:
    """Connect to the primary, for writes. The connection is in autocommit mode, and its session in UTC."""
    return connect(connections(data).postgres_dsn)


def reading(data: Path) -> psycopg.Connection[Row]:
    """Connect for reads: to the replica, if there is one. Raises `ReplicaError`."""
    return connect_to_read(connections(data))


def connect_to_read(target: Connections, options: str = "", seconds: int = CONNECT_SECONDS) -> psycopg.Connection[Row]:
    try:
        return connect(target.postgres_read_dsn or target.postgres_dsn, f"{READ_ONLY} {options}", seconds)
    except psycopg.OperationalError as error:
        if target.postgres_read_dsn in (None, target.postgres_dsn):
            raise
        raise ReplicaError(
            f"the read replica (TIDEMILL_POSTGRES_READ_DSN) does not answer: {str(error).strip().splitlines()[0]}; "
            "without that setting, commands read the primary"
        ) from error


def connect(dsn: str, options: str = "", seconds: int = CONNECT_SECONDS) -> psycopg.Connection[Row]:
    connection: psycopg.Connection[Row] = psycopg.connect(dsn, **session(f"{_actor()} {options}", seconds))
    configure(connection)
    return connection


def _actor() -> str:
    """The option that names this user in the audit log."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no variable names the user, and its number has no name
        return ""
    return f"-c tidemill.actor={user}" if re.fullmatch("[A-Za-z0-9._-]+", user) else ""


def session(options: str = "", seconds: int = CONNECT_SECONDS) -> dict[str, Any]:
    """The arguments of `psycopg.connect` for commands and pages."""
    return {
        "autocommit": True,
        "row_factory": dict_row,
        "connect_timeout": seconds,
        "application_name": "tidemill",
        "options": f"-c TimeZone=UTC -c search_path=tidemill,public {options}",
    }


def configure(connection: psycopg.Connection[Row]) -> None:
    """What a new connection needs besides the arguments of `session`."""
    set_json_loads(json_text.read, connection)


def wall_clock() -> datetime:
    """The time of this machine, only to read and print times: no decision depends on it."""
    return datetime.now(UTC)  # noqa: TID251 - the command line is an edge


def _from(environment: dict[str, str]) -> Connections:
    values: dict[str, Any] = {
        field: environment[name]
        for field in Connections.model_fields
        if (name := f"TIDEMILL_{field.upper()}") in environment
    }
    if "kafka_options" in values:
        values["kafka_options"] = orjson.loads(values["kafka_options"])
    return Connections(**values)
