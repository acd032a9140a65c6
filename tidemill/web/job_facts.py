"""What the page of a job reads: its row, its versions, its newest runs, and its days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import psycopg

from schemas.errors import TidemillError
from streams.core.schedule import zone as zones
from tidemill import owners
from tidemill.queries import one, rows
from tidemill.target import Row
from tidemill.time import plan_of, upcoming
from tidemill.web.calendar import Day, first_day, last_day
from tidemill.web.versions import Version, versions

MOST_RUNS, MOST_SCANNED = 200, 1000
"""Runs whose durations are shown, of the newest ones; some never started."""
MOST_DAYS_SCANNED = 40_000
"""Runs that the calendar counts; the days before the oldest of them are shown as not read."""
MOST_VERSIONS = 10
TICK = timedelta(microseconds=1)


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    job: Row
    runs: Sequence[Row]
    """The newest first."""
    days: Mapping[date, Day]
    today: date
    versions: Sequence[Version]
    next_version: int | None
    """Older versions start before this one; None: there are none."""


def read_job(
    postgres: psycopg.Connection[Row], job_id: str, timezone: str, now: datetime, before: int | None
) -> JobFacts:
    """`before`: show the versions before this one. Raises `NotFoundError`."""
    job = owners.JOB.found(postgres, job_id, one(postgres, "job", {"job_id": job_id}))
    zone = zones.load(timezone)
    today = now.astimezone(zone).date()
    asked = {"owner": job_id, "kind": "job", "before": before, "limit": MOST_VERSIONS + 1}
    found = rows(postgres, "web_versions", asked)
    shown = versions(found)[:MOST_VERSIONS]
    return JobFacts(
        job=job,
        runs=rows(postgres, "web_job_runs", {"job_id": job_id, "scan": MOST_SCANNED, "limit": MOST_RUNS}),
        days=_days(postgres, job, zone, today),
        today=today,
        versions=shown,
        next_version=shown[-1].number if len(found) > MOST_VERSIONS else None,
    )


def _days(postgres: psycopg.Connection[Row], job: Row, zone: ZoneInfo, today: date) -> dict[date, Day]:
    first, last = first_day(today), last_day(today)
    since = datetime.combine(first, time(), zone)
    asked = {"job_id": job["job_id"], "timezone": zone.key, "since": since, "scan": MOST_DAYS_SCANNED}
    counted = rows(postgres, "web_job_days", asked)
    backfilled = {each["day"] for each in rows(postgres, "web_job_backfills", asked)}
    planned = planned_days(job, today, last, zone)
    counts: dict[date, dict[str, int]] = {}
    for each in counted:
        counts.setdefault(each["day"], {})[each["state"]] = each["runs"]
    is_all = sum(each["runs"] for each in counted) < MOST_DAYS_SCANNED
    oldest = first if is_all or not counts else min(counts)
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return {
        day: Day(
            runs=counts.get(day, {}),
            is_planned=day in planned,
            is_backfilled=day in backfilled,
            is_unknown=day < oldest,
        )
        for day in days
    }


def planned_days(job: Row, first: date, last: date, zone: ZoneInfo) -> set[date]:
    """The days on which the schedule is due; one question to the schedule for each day at most."""
    if job["schedule"] is None or job["paused"]:
        return set()
    found: set[date] = set()
    day = first
    while day <= last:
        try:
            due = upcoming(plan_of(job), datetime.combine(day, time(), zone) - TICK, 1)
        except TidemillError:  # a schedule that this release does not know
            return found
        if not due:
            break
        day = due[0].astimezone(zone).date()
        found.add(day)
        day += timedelta(days=1)
    return {each for each in found if each <= last}
