"""Reads all schedules and computes the week from them, in the background."""

from __future__ import annotations

from datetime import timedelta

from schemas.settings import Connections
from streams.core.schedule import zone as zones
from streams.core.schedule.occurrences import DstRules, InvalidScheduleError, parse_schedule
from tidemill.queries import now_of, rows
from tidemill.target import Row, connect_to_read
from tidemill.time import Plan
from tidemill.web.week import Group, Week, week_of

MOST_SCHEDULES = 500
"""Different schedules that are counted: half a second of work."""
EVERY = timedelta(seconds=30)


def read_week(target: Connections) -> Week:
    with connect_to_read(target) as postgres:
        now = now_of(postgres)
        found = rows(postgres, "web_schedules", {"most": MOST_SCHEDULES})
    groups = [group for row in found if (group := _group(row))]
    left_out = found[0]["schedules"] - len(found) if found else 0
    return week_of(groups, now, left_out)


def _group(row: Row) -> Group | None:
    """None: the schedule cannot be followed, which is a problem of its own."""
    try:
        zones.load(row["timezone"])
        parsed = parse_schedule(row["schedule"])
    except InvalidScheduleError:
        return None
    dst = DstRules(gap=row["dst_gap"], fold=row["dst_fold"])
    plan = Plan(schedule=parsed, timezone=row["timezone"], dst=dst, starts_at=row["phase"])
    return Group(plan=plan, owners=row["owners"], example=row["example"])
