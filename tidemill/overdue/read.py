"""Reads from Postgres what decides whether a job or DAG is overdue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache

import msgspec
import psycopg

from streams.core.schedule import zone as zones
from streams.core.schedule.occurrences import DstRules, InvalidScheduleError, parse_schedule
from tidemill.overdue.expected import Version
from tidemill.queries import rows
from tidemill.target import Row
from tidemill.time import Plan

PAGE = 2000
MOST_VERSIONS = 50
"""The newest versions that are read; of a job that changes all the time, older ones do not count."""
Occurrence = tuple[str, datetime]
"""A job or DAG, and a time at which its schedule makes it due."""


class Now(msgspec.Struct, frozen=True, kw_only=True):
    now: datetime
    """The time of Postgres."""
    open_from: int
    """All transactions before this number have ended."""
    next_transaction: int
    earliest: datetime
    """The read model has kept every row that is filed from this time on."""


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of a job or DAG."""

    owner: str
    version: int
    plan: Plan | None
    """None: its schedule does not make it due now."""


def now(postgres: psycopg.Connection[Row]) -> Now:
    (row,) = rows(postgres, "overdue_now")
    return Now(**row)


def pages(postgres: psycopg.Connection[Row]) -> Iterator[list[Clock]]:
    """All jobs and DAGs that are due by a schedule."""
    after = ""
    while found := rows(postgres, "overdue_clocks", {"after": after, "limit": PAGE}):
        yield [_clock(each) for each in found]
        after = found[-1]["owner"]


def changes(postgres: psycopg.Connection[Row], since: datetime) -> list[Clock]:
    """The jobs and DAGs whose rows changed after `since`, without those that were deleted."""
    return [_clock(each) for each in rows(postgres, "overdue_changes", {"since": since})]


def missing(postgres: psycopg.Connection[Row], asked: Sequence[Occurrence]) -> list[Occurrence]:
    """Those of the occurrences that have neither a run nor a record why not."""
    return _without("overdue_uncovered", postgres, _without("overdue_missing", postgres, asked))


def versions(postgres: psycopg.Connection[Row], owners: Iterable[str]) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for row in rows(postgres, "overdue_versions", {"owners": list(owners), "most": MOST_VERSIONS}):
        is_off = row["deleted"] or row["paused"]
        version = Version(
            owner=row["owner"],
            version=row["version"],
            valid_from=row["valid_from"],
            plan=None if is_off else _plan(row),
            max_runs=row["max_runs"],
        )
        found.setdefault(row["owner"], []).append(version)
    return found


def is_finished(postgres: psycopg.Connection[Row], occurrence: Occurrence, since: datetime, earliest: datetime) -> bool:
    """Whether a job with `max_runs`, whose version counts since `since`, may have made all of them."""
    owner, at = occurrence
    values = {"owner": owner, "at": at, "since": since, "earliest": earliest}
    return bool(rows(postgres, "overdue_finished", values)[0]["is_finished"])


def _without(query: str, postgres: psycopg.Connection[Row], asked: Sequence[Occurrence]) -> list[Occurrence]:
    if not asked:
        return []
    values = {"owners": [owner for owner, _ in asked], "times": [at for _, at in asked]}
    return [asked[row["number"] - 1] for row in rows(postgres, query, values)]


def _clock(row: Row) -> Clock:
    return Clock(owner=row["owner"], version=row["version"], plan=_plan(row))


def _plan(row: Row) -> Plan | None:
    if row["schedule"] is None:
        return None
    fold = row["dst_fold"]
    return _shared_plan(row["schedule"], row["timezone"], row["dst_gap"], fold, row["starts_at"], row["ends_at"])


@lru_cache(maxsize=200_000)
def _shared_plan(
    schedule: str, timezone: str, gap: str, fold: str | None, starts_at: datetime | None, ends_at: datetime | None
) -> Plan | None:
    """One object for all jobs that are due at the same times. None: the schedule cannot be followed."""
    try:
        parsed = parse_schedule(schedule)
        zones.load(timezone)
    except InvalidScheduleError:
        return None
    dst = DstRules(gap=gap, fold=fold)
    return Plan(schedule=parsed, timezone=timezone, dst=dst, starts_at=starts_at, ends_at=ends_at)
