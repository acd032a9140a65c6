"""What is known of the times to live: the oldest week that is kept, the last round, the next one, what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import psycopg

from tidemill.place import Row
from tidemill.queries import rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    oldest_week: date | None
    """None: there is no history yet."""
    weeks: int
    began_at: datetime | None
    """None: no sink ever came to it."""
    finished_at: datetime | None
    """Of the last round that did all there was to do."""
    next_at: datetime | None
    failure: str | None
    """What kept the last round from doing all of it."""


def retention(postgres: psycopg.Connection[Row]) -> Retention:
    (row,) = rows(postgres, "retention")
    return Retention(**row)
