"""The versions of a job or DAG, and its schedule at a time: pure functions over `tidemill.definitions`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from schemas.codec import decode
from schemas.dag import DagSpec
from schemas.job import JobSpec
from schemas.times import EPOCH, LATEST
from streams.core.dag.graph import job_of_dag
from streams.core.schedule import zone as zones
from streams.core.schedule.dst import gap_before
from streams.core.schedule.occurrences import DstRules, latest, parse_schedule
from tidemill.instants import FORMS, on_its_day, readings, relative
from tidemill.target import Row, UsageError
from tidemill.time import TICK, Plan, upcoming


class Version(msgspec.Struct, frozen=True, kw_only=True):
    valid_from: datetime
    spec: JobSpec | None
    """For a DAG, the job with its schedule; None: deleted."""
    is_dag: bool = False


History = Sequence[Version]
"""The oldest first."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The instant that the user means by a local time."""

    instant: datetime
    left_out: str | None = None
    """The local time, if it does not exist because the clock is put forward; `instant` is then the clock change."""


def version_of(row: Row) -> Version:
    spec, is_dag = row["spec"], row["kind"] == "dag"
    if spec is not None:
        # The query leaves the nodes of a DAG out: they do not affect the schedule, and have up to 4 MB in each version.
        json = spec.encode()
        spec = job_of_dag(decode(json, DagSpec)) if is_dag else decode(json, JobSpec)
    return Version(valid_from=row["valid_from"], spec=spec, is_dag=is_dag)


def in_force(history: History, instant: datetime) -> int | None:
    """The version that decided an occurrence of that time: the newest one from before it."""
    return next((index for index in reversed(range(len(history))) if history[index].valid_from < instant), None)


def newest_spec(history: History) -> JobSpec | None:
    return next((each.spec for each in reversed(history) if each.spec), None)


def plan_of(spec: JobSpec) -> Plan | None:
    """None: the job runs only on request."""
    if spec.schedule is None:
        return None
    return Plan(
        schedule=parse_schedule(spec.schedule),
        timezone=spec.timezone,
        dst=DstRules(gap=spec.dst_gap.value, fold=spec.dst_fold and spec.dst_fold.value),
        starts_at=spec.starts_at,
        ends_at=spec.ends_at,
    )


def is_due(plan: Plan, instant: datetime) -> bool:
    return upcoming(plan, instant - TICK, 1) == [instant]


def last_before(plan: Plan, instant: datetime, after: datetime = EPOCH) -> datetime | None:
    """The last occurrence strictly before `instant` and after `after`, between starts_at and ends_at."""
    begin = max(after, plan.starts_at - TICK) if plan.starts_at else after
    end = min(instant, plan.ends_at) if plan.ends_at else instant
    return latest(plan.schedule, plan.timezone, plan.dst, begin, end - TICK, plan.starts_at)


def last_due(history: History, now: datetime) -> datetime | None:
    """The newest occurrence up to now, by the version that was valid at its time."""
    until = now + TICK
    for version in reversed(history):
        plan = plan_of(version.spec) if version.spec else None
        found = last_before(plan, until, version.valid_from) if plan else None
        if found:
            return found
        until = version.valid_from + TICK
    return None


def next_due(history: History, now: datetime) -> datetime | None:
    spec = history[-1].spec
    plan = plan_of(spec) if spec else None
    return next(iter(upcoming(plan, now, 1)), None) if plan else None


def deleted_since(history: History, instant: datetime | None) -> datetime | None:
    """The time of the last deletion after `instant`."""
    found = [each.valid_from for each in history if each.spec is None and instant and each.valid_from > instant]
    return found[-1] if found else None


def paused_since(history: History, index: int) -> datetime:
    """When the pause of a paused version started, as far as its versions are kept."""
    while index > 0 and (before := history[index - 1].spec) and before.paused:
        index -= 1
    return history[index].valid_from


def moments(text: str, timezone: str, now: datetime) -> list[Moment]:
    """The instants of a local time: two if the clock is put back over it."""
    if past := relative(text, now, timezone, ago=True):
        return [Moment(instant=past.astimezone(UTC))]
    example = f"--at {text!r} is not a time from 1970 to 2199, {FORMS}"
    try:
        given = datetime.fromisoformat(on_its_day(text.strip(), now, timezone, ago=True) or text)
    except ValueError as error:
        raise UsageError(example) from error
    if not EPOCH <= (given if given.tzinfo else given.replace(tzinfo=UTC)) <= LATEST:
        raise UsageError(example)
    if given.tzinfo:
        return [Moment(instant=given.astimezone(UTC))]
    return [Moment(instant=each) for each in readings(given, timezone)] or [_left_out(given, timezone)]


def _left_out(given: datetime, timezone: str) -> Moment:
    gaps = ((each, gap_before(each)) for each in zones.stretches(timezone, given.year))
    start = next(each.start for each, gap in gaps if gap and gap.low <= given < gap.high)
    return Moment(instant=start, left_out=given.isoformat(sep=" "))
