"""What starts when: the planned starts of the next hour and the next seven days, from the schedules alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from streams.core.schedule.cron import Cron
from streams.core.schedule.occurrences import count_between, occurrences
from tidemill.time import TICK, Plan

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
HOURS = 7 * 24
FEW = 400
"""Up to this number, the starts of a schedule in the week are listed; otherwise they are counted for each hour."""
MOST_SOON = 200
"""How many starts of the next hour are named."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs and DAGs that are due at the same times."""

    plan: Plan
    owners: int
    example: str
    """The first of their names."""


FRESH, MOST_FRESH, FEWEST = timedelta(seconds=90), 90, 3
"""The starts of a schedule that are listed: all of this time, which is longer than a reading is shown."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    example: str
    others: int
    """How many more jobs and DAGs start then."""


class Week(msgspec.Struct, frozen=True, kw_only=True):
    begin: datetime
    """The full hour in UTC of the first number of `hours`."""
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    """Starts of the week by the minute of the hour."""
    next_hour: tuple[int, ...]
    """Starts in each of the next 60 minutes, from the current one on."""
    soon: tuple[Start, ...]
    """The next starts, and all of the time until the week is computed again."""
    left_out: int = 0
    """Schedules that are not counted, because there are too many."""

    @property
    def all(self) -> int:
        return sum(self.hours)

    @property
    def herd(self) -> float:
        """The share of all starts that are at a full hour."""
        return self.minutes[0] / max(sum(self.minutes), 1)


def week_of(groups: Sequence[Group], now: datetime, left_out: int = 0) -> Week:
    begin, minute = now.replace(minute=0, second=0, microsecond=0), now.replace(second=0, microsecond=0)
    hours, minutes, next_hour = [0.0] * HOURS, [0.0] * 60, [0] * 60
    soon: list[Start] = []
    for group in groups:
        for index, count in _by_hour(group.plan, begin, minutes, group.owners):
            hours[index] += count * group.owners
        for index, count in enumerate(_by_minute(group.plan, minute)):
            next_hour[index] += count * group.owners
        soon += _starts(group, now)
    return Week(
        begin=begin,
        hours=tuple(round(each) for each in hours),
        minutes=tuple(round(each) for each in minutes),
        next_hour=tuple(next_hour),
        soon=tuple(_merged(soon)[:MOST_SOON]),
        left_out=left_out,
    )


def _by_hour(plan: Plan, begin: datetime, minutes: list[float], owners: int) -> Iterator[tuple[int, int]]:
    """The starts of each hour; adds them to `minutes`."""
    after, until = begin - TICK, begin + HOURS * HOUR - TICK
    found = _listed(plan, after, until, FEW + 1)
    if len(found) <= FEW:
        for each in found:
            minutes[each.minute] += owners
            yield (each - begin) // HOUR, 1
        return
    counts = [_count(plan, begin + index * HOUR, HOUR) for index in range(HOURS)]
    spread = plan.schedule.minutes if isinstance(plan.schedule, Cron) else range(60)
    for minute in spread:
        minutes[minute] += owners * sum(counts) / len(spread)
    yield from enumerate(counts)


def _by_minute(plan: Plan, begin: datetime) -> list[int]:
    counts = [0] * 60
    found = _listed(plan, begin - TICK, begin + HOUR - TICK, FEW + 1)
    if len(found) > FEW:
        return [_count(plan, begin + index * MINUTE, MINUTE) for index in range(60)]
    for each in found:
        counts[(each - begin) // MINUTE] += 1
    return counts


def _starts(group: Group, now: datetime) -> list[Start]:
    found = _listed(group.plan, now, now + FRESH, MOST_FRESH)
    if len(found) < FEWEST:
        found = _listed(group.plan, now, now + HOUR, FEWEST)
    return [Start(at=each, example=group.example, others=group.owners - 1) for each in found]


def _merged(found: Sequence[Start]) -> list[Start]:
    """One for each instant, in their order; its example is of the most common schedule."""
    by_instant: dict[datetime, Start] = {}
    for each in found:
        known = by_instant.setdefault(each.at, each)
        if known is not each:
            by_instant[each.at] = Start(at=known.at, example=known.example, others=known.others + each.others + 1)
    return [by_instant[at] for at in sorted(by_instant)]


def _listed(plan: Plan, after: datetime, until: datetime, limit: int) -> list[datetime]:
    return occurrences(plan.schedule, plan.timezone, plan.dst, after, until, limit, plan.starts_at)


def _count(plan: Plan, begin: datetime, length: timedelta) -> int:
    most = length // timedelta(seconds=1)
    after, until = begin - TICK, begin + length - TICK
    return count_between(plan.schedule, plan.timezone, plan.dst, after, until, most, plan.starts_at)
