"""What the pages of jobs and DAGs say about a schedule: as it is written, and when it is due next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import htpy as h

from schemas.errors import TidemillError
from tidemill.output import visible
from tidemill.target import Row
from tidemill.time import note, plan_of, upcoming
from tidemill.web.ask import Ask
from tidemill.web.pieces import NONE, instant


def schedule_facts(ask: Ask, row: Row) -> Iterator[tuple[str, h.Node]]:
    """The columns of `tidemill.jobs` or `tidemill.dags` that say when it runs, without those that have no value."""
    zone = row["timezone"]
    yield "Schedule", h.code[visible(row["schedule"])] if row["schedule"] else "none: it runs only on request"
    yield "Time zone", visible(zone) if row["schedule"] else None
    yield "Tenant", visible(row["tenant"])
    yield "Starts at", instant(ask, row["starts_at"], zone) if row["starts_at"] else None
    yield "Ends at", instant(ask, row["ends_at"], zone) if row["ends_at"] else None
    yield "If one is open", row["overlap_policy"].replace("_", " ")
    yield "If it is late", row["catchup_policy"]
    yield "After a pause", row["catchup_after_pause"]
    yield "Changed", instant(ask, row["updated_at"])


def next_times(row: Row, now: datetime, number: int) -> list[tuple[datetime, str]]:
    """The next times at which a row is due, each with what a clock change does to it; none while it is paused."""
    if row["schedule"] is None or row["paused"]:
        return []
    try:
        plan = plan_of(row)
        return [(each, note(plan, each)) for each in upcoming(plan, now, number)]
    except TidemillError:  # a schedule that this release does not know
        return []


def next_due(ask: Ask, row: Row) -> h.Node:
    """The next time in a cell of a list."""
    if row["paused"]:
        return h.span(class_="note")["paused"]
    found = next_times(row, ask.now, 1)
    return instant(ask, found[0][0]) if found else NONE
