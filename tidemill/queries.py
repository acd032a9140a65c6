"""Runs the commands' SQL by name: each query is a file in `tidemill/sql/`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg

from tidemill.target import Row


@cache
def text(name: str) -> str:
    return files("tidemill").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def rows(database: psycopg.Connection[Row], name: str, values: Mapping[str, Any] | None = None) -> list[Row]:
    return database.execute(text(name), values).fetchall()


def one(database: psycopg.Connection[Row], name: str, values: Mapping[str, Any] | None = None) -> Row | None:
    return database.execute(text(name), values).fetchone()


def now_of(database: psycopg.Connection[Row]) -> datetime:
    """The database's time, to compare with the times in its rows."""
    (row,) = database.execute("select clock_timestamp() as now").fetchall()
    now: datetime = row["now"]
    return now
