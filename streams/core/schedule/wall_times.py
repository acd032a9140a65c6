"""Count the wall-clock times of a cron schedule in an interval by arithmetic, without listing them."""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from datetime import date, datetime
from typing import TYPE_CHECKING

from streams.core.schedule.month import matching_days

if TYPE_CHECKING:
    from streams.core.schedule.cron import Cron


def count_wall_times(cron: Cron, low: datetime, high: datetime) -> int:
    """How many wall-clock times (naive, whole seconds) `cron` has from `low` to before `high`."""
    if low >= high:
        return 0
    return _count_before(cron, high) - _count_before(cron, low) + _count_of_months(cron, low.date(), high.date())


def _count_before(cron: Cron, instant: datetime) -> int:
    """The count from the start of the month of `instant` to before `instant`."""
    days = days_of(cron, instant.year, instant.month)
    before = bisect_left(days, instant.day)
    count = before * len(cron.hours) * len(cron.minutes) * len(cron.seconds)
    return count + _times_before(cron, instant) if instant.day in days[before : before + 1] else count


def _times_before(cron: Cron, instant: datetime) -> int:
    """The count from the start of the day of `instant` to before `instant`."""
    hours, minutes, seconds = cron.hours, cron.minutes, cron.seconds
    hour = bisect_left(hours, instant.hour)
    count = hour * len(minutes) * len(seconds)
    if instant.hour not in hours[hour : hour + 1]:
        return count
    minute = bisect_left(minutes, instant.minute)
    count += minute * len(seconds)
    if instant.minute not in minutes[minute : minute + 1]:
        return count
    return count + bisect_left(seconds, instant.second)


def _count_of_months(cron: Cron, first: date, last: date) -> int:
    """The count from the start of the month of `first` to the start of the month of `last`."""
    begin, end = first.year * 12 + first.month - 1, last.year * 12 + last.month - 1
    days = sum(len(days_of(cron, month // 12, month % 12 + 1)) for month in range(begin, end))
    return days * len(cron.hours) * len(cron.minutes) * len(cron.seconds)


def days_of(cron: Cron, year: int, month: int) -> tuple[int, ...]:
    """The days of a month that `cron` allows, ascending."""
    if month not in cron.months:
        return ()
    first_weekday, length = monthrange(year, month)
    return matching_days(cron.days, cron.weekdays, (first_weekday + 1) % 7, length, cron.either_day)
