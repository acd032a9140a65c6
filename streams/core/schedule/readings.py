"""How many wall-clock times of a cron schedule lie in a stretch of time: arithmetic, by days and times of a day."""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from streams.core.schedule.cron import LAST_DAY, LAST_WEEKDAY

if TYPE_CHECKING:
    from streams.core.schedule.cron import Cron


def count_readings(cron: Cron, low: datetime, high: datetime) -> int:
    """The wall-clock times (naive, whole seconds) of `cron` from `low` to before `high`."""
    if low >= high:
        return 0
    return _count_before(cron, high) - _count_before(cron, low) + _count_of_months(cron, low.date(), high.date())


def _count_before(cron: Cron, instant: datetime) -> int:
    """From the begin of the month of `instant` to before it."""
    days = days_of(cron, instant.year, instant.month)
    before = bisect_left(days, instant.day)
    count = before * len(cron.hours) * len(cron.minutes) * len(cron.seconds)
    return count + _times_before(cron, instant) if instant.day in days[before : before + 1] else count


def _times_before(cron: Cron, instant: datetime) -> int:
    """From the begin of its day."""
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
    """From the begin of the month of `first` to the begin of the month of `last`."""
    begin, end = first.year * 12 + first.month - 1, last.year * 12 + last.month - 1
    days = sum(len(days_of(cron, month // 12, month % 12 + 1)) for month in range(begin, end))
    return days * len(cron.hours) * len(cron.minutes) * len(cron.seconds)


def days_of(cron: Cron, year: int, month: int) -> tuple[int, ...]:
    """The days of a month that `cron` allows, ascending."""
    if month not in cron.months:
        return ()
    first_weekday, length = monthrange(year, month)
    return _days(cron.days, cron.weekdays, (first_weekday + 1) % 7, length, cron.either_day)


@lru_cache(maxsize=65536)
def _days(
    days: tuple[int, ...],
    weekdays: tuple[int, ...],
    first: int,
    length: int,
    either: bool,  # noqa: FBT001 - a part of the schedule
) -> tuple[int, ...]:
    """`first` is the day of the week of the first day of the month; Sunday is 0."""
    by_day = {day for day in days if day <= length} | ({length} if LAST_DAY in days else set())
    by_weekday = {day for day in range(1, length + 1) if _is_among(weekdays, (first + day - 1) % 7, day, length)}
    return tuple(sorted(by_day | by_weekday if either else by_day & by_weekday))


def _is_among(weekdays: tuple[int, ...], weekday: int, day: int, length: int) -> bool:
    nth = (day + 6) // 7
    is_last = day + 7 > length
    return weekday in weekdays or 10 * nth + weekday in weekdays or (is_last and LAST_WEEKDAY + weekday in weekdays)
