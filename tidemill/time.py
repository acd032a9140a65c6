"""`tidemill next`: prints when a schedule is due, with the functions that the stream workers use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from schemas.errors import TidemillError
from streams.core.schedule import zone as zones
from streams.core.schedule.hints import habit
from streams.core.schedule.occurrences import DstRules, Schedule, local_note, next_after, parse_schedule
from tidemill.complete import owner_names
from tidemill.instants import parse_instant
from tidemill.names import owner_kind
from tidemill.output import complain, show_rows
from tidemill.queries import one
from tidemill.target import DEFAULT_DATA, AsJson, Data, NotFoundError, Row, UsageError, reading, wall_clock

TICK = timedelta(microseconds=1)
FIELDS = 5
DEFAULT_DST = DstRules()
COLUMNS = ("nominal_time", "local_time", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A schedule with everything that decides when it is due."""

    schedule: Schedule
    timezone: str
    dst: DstRules = DEFAULT_DST
    starts_at: datetime | None = None
    ends_at: datetime | None = None


def next_times(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="The id of a job or DAG, or a schedule.", autocompletion=owner_names),
    ] = None,
    schedule: Annotated[str | None, typer.Option(help="A schedule, such as '0 3 * * *', instead of a job.")] = None,
    timezone: Annotated[str, typer.Option(help="The time zone of --schedule.")] = "UTC",
    after: Annotated[
        str | None,
        typer.Option(help="Start after this time, in the job's time zone, or after a delay such as 2h. Default: now."),
    ] = None,
    number: Annotated[int, typer.Option("-n", min=1, max=10_000, help="The number of times to show.")] = 10,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show when a job, a DAG or a schedule is due next. A schedule needs no running stack."""
    if name is not None and is_expression(name):
        name, schedule = None, name
    if (name is None) == (schedule is None):
        raise UsageError("give either the name of a job or DAG, or a --schedule")
    plan = _of_name(data, name) if name is not None else plan_of_expression(schedule or "", timezone)
    start = parse_instant("--after", after, wall_clock(), plan.timezone) if after else wall_clock()
    show_rows([row_of(plan, each) for each in upcoming(plan, start, number)], COLUMNS, as_json=as_json)


def is_expression(text: str) -> bool:
    """Whether a name is a schedule: it has as many words as cron fields, or a character that no id has."""
    return text.startswith("@") or len(text.split()) >= FIELDS


def upcoming(plan: Plan, after: datetime, number: int) -> list[datetime]:
    """The first occurrences strictly after `after`, between starts_at and ends_at."""
    found: list[datetime] = []
    phase = plan.starts_at
    if plan.starts_at:
        after = max(after, plan.starts_at - TICK)
    while len(found) < number:
        following = next_after(plan.schedule, plan.timezone, plan.dst, after, phase)
        if following is None or (plan.ends_at and following >= plan.ends_at):
            break
        found.append(following)
        after = following
    return found


def note(plan: Plan, occurrence: datetime) -> str:
    """How a clock change affects the occurrence or its day; usually empty."""
    local = local_note(plan.schedule, plan.timezone, plan.dst, occurrence)
    return local or _day_note(zones.load(plan.timezone), occurrence)


def row_of(plan: Plan, occurrence: datetime) -> dict[str, Any]:
    local = occurrence.astimezone(zones.load(plan.timezone))
    return {"nominal_time": occurrence, "local_time": local.isoformat(), "note": note(plan, occurrence)}


def _day_note(zone: ZoneInfo, occurrence: datetime) -> str:
    day = occurrence.astimezone(zone).date()
    change = _offset(zone, day + timedelta(days=1)) - _offset(zone, day)
    if not change:
        return ""
    return f"the clock is put {'forward' if change > timedelta(0) else 'back'} by {abs(change)} on this day"


def _offset(zone: ZoneInfo, day: date) -> timedelta:
    """The UTC offset at the start of a day."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).utcoffset() or timedelta(0)


def plan_of_expression(schedule: str, timezone: str) -> Plan:
    try:
        zones.load(timezone)
        return Plan(schedule=parse_schedule(schedule), timezone=timezone)
    except TidemillError as error:
        raise UsageError(str(error)) from error


def _of_name(data: Path, name: str) -> Plan:
    """The plan of a job or DAG. If the name is unknown but nearly a schedule, the error suggests the schedule."""
    try:
        return _of_owner(data, name)
    except TidemillError as error:
        if written := habit([name]):
            raise type(error)(f"{error}; as a schedule, {written}") from error
        raise


def _of_owner(data: Path, name: str) -> Plan:
    with reading(data) as postgres:
        kind = owner_kind(postgres, name)
        row = one(postgres, kind, {"job_id": name, "dag_id": name})
    if row is None:
        raise NotFoundError(f"the job or DAG {name!r} does not exist any more")
    plan = plan_of(scheduled(row, name))
    if row["paused"]:
        complain(f"{name!r} is paused; without the pause it would be due at these times")
    return plan


def scheduled(row: Row, name: str) -> Row:
    """The row of a job or DAG that has a schedule. Raises `NotFoundError`."""
    if row["schedule"] is None:
        raise NotFoundError(f"{name!r} has no schedule: it runs only on request")
    return row


def plan_of(row: Row) -> Plan:
    """The plan of a row of `tidemill.jobs` or `tidemill.dags` that has a schedule. Raises `TidemillError`."""
    return Plan(
        schedule=parse_schedule(row["schedule"]),
        timezone=row["timezone"],
        dst=DstRules(gap=row["dst_gap"], fold=row["dst_fold"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
    )
