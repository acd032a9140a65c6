"""Reads a page of runs and their bounded number."""

from __future__ import annotations

import msgspec
import psycopg
from psycopg.sql import SQL, Composed

from tidemill.queries import text
from tidemill.target import Row
from tidemill.web.paging import Cursor
from tidemill.web.run_filter import RunFilter, candidates, conditions, counted, is_exact, values_of

PAGE_ROWS = 50
MOST_COUNTED = 10_000
"""A count stops here."""
MOST_READ = MOST_COUNTED + 1
MOST_SEARCHED = 4_000
"""The most rows that one page reads for a filter without an index of its own, so that a rare one cannot make it slow:
each may be on another block of the table."""


class Count(msgspec.Struct, frozen=True, kw_only=True):
    value: int
    is_exact: bool


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    rows: list[Row]
    following: Cursor | None
    """Where the next page begins; None: this is the last one."""
    searched_to: Cursor | None = None
    """The filter is rare: the page has too few rows, and the search stopped here."""
    count: Count | None = None
    """How many runs the filter has, if the first page has read enough to know it."""


def read_page(
    postgres: psycopg.Connection[Row], asked: RunFilter, cursor: Cursor | None, size: int = PAGE_ROWS
) -> RunPage:
    scan = size + 1 if is_exact(asked) else MOST_SEARCHED
    values = values_of(asked, cursor) | {"scan": scan, "limit": size + 1}
    found = postgres.execute(_sql("web_runs", asked, cursor), values).fetchall()
    page = page_of(found, scan, size)
    if is_exact(asked) or cursor is not None or not found:
        return page
    number = Count(value=found[0]["matching_candidates"], is_exact=found[0]["candidates"] < scan)
    return msgspec.structs.replace(page, count=number)


def page_of(found: list[Row], scan: int, size: int = PAGE_ROWS) -> RunPage:
    """`found` has the rows, or one row without a run."""
    rows = [each for each in found if each["run_id"] is not None]
    if len(rows) > size:
        last = rows[size - 1]
        return RunPage(rows=rows[:size], following=Cursor(at=last["nominal_time"], id=last["run_id"]))
    if found and found[0]["candidates"] >= scan:
        end = Cursor(at=found[0]["last_at"], id=found[0]["last_id"])
        return RunPage(rows=rows, following=end, searched_to=end)
    return RunPage(rows=rows, following=None)


def read_some(postgres: psycopg.Connection[Row], asked: RunFilter, most: int) -> tuple[list[Row], bool]:
    """The newest runs of a filter for an action on all of them, and whether there may be more."""
    values = values_of(asked, None) | {"scan": most + 1, "limit": most}
    found = postgres.execute(_sql("web_some_runs", asked, None), values).fetchall()
    return found, bool(found) and found[0]["candidates"] > most


def count(postgres: psycopg.Connection[Row], asked: RunFilter) -> Count | None:
    """None: the filter has no index of its own, and only the first page knows the number."""
    if not is_exact(asked):
        return None
    query = SQL(text("web_count")).format(counted=counted(asked))
    found = postgres.execute(query, values_of(asked, None) | {"scan": MOST_READ}).fetchall()[0]["runs"]
    return Count(value=min(found, MOST_COUNTED), is_exact=found < MOST_READ)


def _sql(name: str, asked: RunFilter, cursor: Cursor | None) -> Composed:
    return SQL(text(name)).format(candidates=candidates(asked, cursor), conditions=conditions(asked))
