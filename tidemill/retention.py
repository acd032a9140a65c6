"""Reads the state of retention: the oldest kept week, the last round and the next, and the last failure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import psycopg

from tidemill.queries import rows
from tidemill.target import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    oldest_week: date | None
    """None: no history yet."""
    weeks: int
    began_at: datetime | None
    """None: no round has run yet."""
    finished_at: datetime | None
    """When the last complete round ended."""
    next_at: datetime | None
    failure: str | None
    """Why the last round was not complete."""


def retention(postgres: psycopg.Connection[Row]) -> Retention:
    (row,) = rows(postgres, "retention")
    return Retention(**row)
