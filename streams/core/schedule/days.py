"""The wall-clock times of a cron schedule, without a zone: croniter finds the day, a search finds the time.

docs/decisions/0039 says what croniter decides, what it does not, and why.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from copy import copy
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from croniter import CroniterBadDateError, croniter

from streams.core.schedule.month import LAST_DAY, LAST_WEEKDAY

if TYPE_CHECKING:
    from streams.core.schedule.cron import Cron

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_ALWAYS_THERE = 28
"""Every month has at least this many days."""


def first_wall_time(cron: Cron, low: datetime) -> datetime | None:
    """The first wall-clock time (naive) that matches at or after `low`, a whole second."""
    rules = _rules(cron)
    day = _first_day(rules, low.date())
    if day == low.date():
        at = _time_from(cron, low.time())
        if at:
            return datetime.combine(day, at)
        day = _first_day(rules, day + _DAY)
    return None if day is None else datetime.combine(day, time(cron.hours[0], cron.minutes[0], cron.seconds[0]))


def last_wall_time(cron: Cron, high: datetime) -> datetime | None:
    """The last wall-clock time (naive) that matches at or before `high`, a whole second."""
    rules = _rules(cron)
    day = _last_day(rules, high.date())
    if day == high.date():
        at = _time_until(cron, high.time())
        if at:
            return datetime.combine(day, at)
        day = _last_day(rules, day - _DAY)
    return None if day is None else datetime.combine(day, time(cron.hours[-1], cron.minutes[-1], cron.seconds[-1]))


def _time_from(cron: Cron, low: time) -> time | None:
    for hour in cron.hours[bisect_left(cron.hours, low.hour) :]:
        if hour > low.hour:
            return time(hour, cron.minutes[0], cron.seconds[0])
        for minute in cron.minutes[bisect_left(cron.minutes, low.minute) :]:
            if minute > low.minute:
                return time(hour, minute, cron.seconds[0])
            for second in cron.seconds[bisect_left(cron.seconds, low.second) :]:
                return time(hour, minute, second)
    return None


def _time_until(cron: Cron, high: time) -> time | None:
    for hour in reversed(cron.hours[: bisect_right(cron.hours, high.hour)]):
        if hour < high.hour:
            return time(hour, cron.minutes[-1], cron.seconds[-1])
        for minute in reversed(cron.minutes[: bisect_right(cron.minutes, high.minute)]):
            if minute < high.minute:
                return time(hour, minute, cron.seconds[-1])
            for second in reversed(cron.seconds[: bisect_right(cron.seconds, high.second)]):
                return time(hour, minute, second)
    return None


@lru_cache(maxsize=65536)
def _first_day(rules: tuple[str, ...], day: date) -> date | None:
    start = datetime.combine(day, time()) - _MINUTE
    return min(filter(None, (_next(rule, start) for rule in rules)), default=None)


@lru_cache(maxsize=65536)
def _last_day(rules: tuple[str, ...], day: date) -> date | None:
    start = datetime.combine(day, time()) + _MINUTE
    return max(filter(None, (_previous(rule, start) for rule in rules)), default=None)


def _next(rule: str, start: datetime) -> date | None:
    try:
        found: datetime = copy(_engine(rule)).get_next(datetime, start_time=start)
    except CroniterBadDateError:
        return None
    return found.date()


def _previous(rule: str, start: datetime) -> date | None:
    try:
        found: datetime = copy(_engine(rule)).get_prev(datetime, start_time=start)
    except CroniterBadDateError:
        return None
    return found.date()


@lru_cache(maxsize=16384)
def _engine(rule: str) -> Any:
    """A cached croniter. Callers advance a copy, because advancing changes the object."""
    return croniter(rule, datetime(1970, 1, 1), day_or=False)


@lru_cache(maxsize=65536)
def _rules(cron: Cron) -> tuple[str, ...]:
    """The days as a union of expressions, each at midnight, that croniter 5.0.1 handles correctly.

    With the whole expression, croniter gets some days wrong (tests/unit/core/schedule/test_croniter_limits.py).
    Forwards it skips a day after a short month; backwards it skips February 29th; it refuses a weekday and an nth
    weekday in one field. So each day that some months lack is a separate expression, and so is each kind of weekday.
    """
    months = _listed(cron.months, 12)
    days, weekdays = _day_groups(cron.days), _weekday_groups(cron.weekdays)
    pairs = (
        [(day, "*") for day in days] + [("*", weekday) for weekday in weekdays]
        if cron.either_day
        else [(day, weekday) for day in days for weekday in weekdays]
    )
    return tuple(f"0 0 {day} {months} {weekday}" for day, weekday in pairs)


def _day_groups(days: tuple[int, ...]) -> list[str]:
    if len([day for day in days if day != LAST_DAY]) == 31:
        return ["*"]
    common = tuple(day for day in days if day <= _ALWAYS_THERE)
    apart = ["l" if day == LAST_DAY else str(day) for day in days if day > _ALWAYS_THERE]
    return ([_listed(common, 31)] if common else []) + apart


def _weekday_groups(weekdays: tuple[int, ...]) -> list[str]:
    every_week = tuple(value for value in weekdays if value < 7)
    once_a_month = ",".join(_once_a_month(value) for value in weekdays if value > 7)
    return ([_listed(every_week, 7)] if every_week else []) + ([once_a_month] if once_a_month else [])


def _once_a_month(value: int) -> str:
    return f"l{value - LAST_WEEKDAY}" if value >= LAST_WEEKDAY else f"{value % 10}#{value // 10}"


def _listed(values: tuple[int, ...], size: int) -> str:
    return "*" if len(values) == size else ",".join(map(str, values))
