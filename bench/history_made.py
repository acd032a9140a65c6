"""Makes a read model of many runs over many days with SQL, as the sink would have written it."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg

from connectors.migrate import migrate

JOBS = 100_000
ROWS = Path(__file__).with_name("history_rows.sql").read_text(encoding="utf-8")
SESSION = "-c TimeZone=UTC -c synchronous_commit=off -c tidemill.sink=on -c session_replication_role=replica"
"""`session_replication_role=replica` turns the triggers of jobs off: no connector captures them here."""
JOB_ROWS = """
insert into tidemill.jobs (job_id, schedule, executable, version, updated_at)
select 'job-' || lpad(number::text, 6, '0'), '0 * * * *', 's3://tidemill/hello.sh', number, now()
from generate_series(0, %s - 1) as number
"""
WEEKS_AHEAD = timedelta(days=14)


def make(dsn: str, count: int, days: int, now: datetime, say: Callable[[str], None]) -> None:
    migrate(dsn)
    begin, step = now - timedelta(days=days), timedelta(days=days) / count
    with psycopg.connect(dsn, autocommit=True, options=SESSION) as postgres:
        postgres.execute(JOB_ROWS, [JOBS])
        week = begin.date() - timedelta(days=begin.weekday())
        while week <= (now + WEEKS_AHEAD).date():
            postgres.execute("select tidemill.make_week(%s)", [week])
            first = max(1, math.ceil((_midnight(week) - begin) / step))
            week += timedelta(days=7)
            last = min(count, math.ceil((_midnight(week) - begin) / step) - 1)
            values = {"jobs": JOBS, "begin": begin, "days": days, "count": count, "first": first, "last": last}
            postgres.execute(ROWS, values)
            say(f"{max(last, 0)} of {count} runs are filed")
        postgres.execute("update tidemill.weeks set written = 1, last_at = week + 7")
        postgres.execute("vacuum analyze")


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
