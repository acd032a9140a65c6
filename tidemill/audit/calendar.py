"""When a schedule was due, computed a second time: every wall-clock time of each local day, mapped onto real time.

The streams search for the next occurrence (`streams/core/schedule/`). This file shares no code with them, so that a
mistake there is a difference here. It is slower, and expects a schedule that the database has accepted.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import product
from typing import NamedTuple
from zoneinfo import ZoneInfo

from schemas.times import EPOCH

_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)
_AROUND = timedelta(days=2)
"""If the offset is the same so long before and after a day, no change of the clock touches its occurrences."""
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


class Terms(NamedTuple):
    """The columns of a job or DAG that say when it is due."""

    schedule: str
    timezone: str = "UTC"
    dst_gap: str = "shift"
    dst_fold: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class _Cron(NamedTuple):
    times: tuple[int, ...]
    """The seconds of a day, ascending."""
    is_day: Callable[[date], bool]
    follows_real_time: bool
    """Debian: where minute or hour begins with `*`, a change of the clock leaves nothing out and repeats all."""


def occurrences(terms: Terms, after: datetime, until: datetime) -> Iterator[datetime]:
    """The instants (UTC) in (after, until], ascending: at or after `starts_at`, before `ends_at`."""
    if terms.starts_at:
        after = max(after, terms.starts_at - timedelta(microseconds=1))
    if terms.ends_at:
        until = min(until, terms.ends_at - timedelta(microseconds=1))
    word, _, rest = terms.schedule.strip().partition(" ")
    match word.lower():
        case "@at":
            instant = datetime.fromisoformat(rest.strip()).astimezone(UTC)
            return iter([instant] if after < instant <= until else [])
        case "@every":
            return _multiples(_interval(rest.strip()), terms.starts_at or EPOCH, after, until)
        case _:
            return _by_day(terms, after, until)


def _multiples(interval: timedelta, phase: datetime, after: datetime, until: datetime) -> Iterator[datetime]:
    at = phase + ((after - phase) // interval + 1) * interval
    while at <= until:
        if at >= phase or phase == EPOCH:
            yield at
        at += interval


def _interval(text: str) -> timedelta:
    parts = re.findall(r"([0-9.]+)([dhms])", text)
    return timedelta(milliseconds=round(sum(float(number) * _UNITS[unit] for number, unit in parts) * 1000))


def _by_day(terms: Terms, after: datetime, until: datetime) -> Iterator[datetime]:
    """A day of UTC at a time, so that a schedule with seconds takes bounded memory."""
    cron, zone = _parsed(terms.schedule), ZoneInfo(terms.timezone)
    while after < until:
        end = min(until, after + _DAY)
        offset = after.astimezone(zone).utcoffset() or timedelta()
        if _is_constant(zone, after - _AROUND, end + _AROUND):
            yield from _at_offset(cron, offset, after, end)
        else:
            yield from sorted({each for each in _around_a_change(cron, terms, zone, after) if after < each <= end})
        after = end


def _is_constant(zone: ZoneInfo, begin: datetime, end: datetime) -> bool:
    hours = int((end - begin) / timedelta(hours=6)) + 1
    return len({(begin + each * timedelta(hours=6)).astimezone(zone).utcoffset() for each in range(hours + 1)}) == 1


def _at_offset(cron: _Cron, offset: timedelta, after: datetime, until: datetime) -> Iterator[datetime]:
    low, high = after.replace(tzinfo=None) + offset, until.replace(tzinfo=None) + offset
    day = low.date()
    while day <= high.date():
        if cron.is_day(day):
            midnight = datetime.combine(day, datetime.min.time())
            first = bisect_right(cron.times, (low - midnight).total_seconds())
            last = bisect_right(cron.times, (high - midnight).total_seconds())
            real = midnight.replace(tzinfo=UTC) - offset
            for each in cron.times[first:last]:
                yield real + timedelta(seconds=each)
        day += _DAY


def _around_a_change(cron: _Cron, terms: Terms, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    fold = terms.dst_fold or ("both" if cron.follows_real_time else "first")
    shifts = terms.dst_gap == "shift" and not cron.follows_real_time
    middle = after.date()
    for day in (middle + number * _DAY for number in range(-3, 5)):
        if cron.is_day(day):
            midnight = datetime.combine(day, datetime.min.time())
            for each in cron.times:
                yield from _instants(midnight + timedelta(seconds=each), zone, fold, shifts)


def _instants(wall: datetime, zone: ZoneInfo, fold: str, shifts: bool) -> list[datetime]:
    """When the clock of the zone shows a time: once, twice, or never; then, if it shifts, when the clock jumps."""
    first, second = (wall.replace(tzinfo=zone, fold=each).astimezone(UTC) for each in (0, 1))
    shown = [each for each in (first, second) if each.astimezone(zone).replace(tzinfo=None) == wall]
    if not shown:
        return [_change(zone, min(first, second), max(first, second))] if shifts else []
    if first == second:
        return [first]
    return {"first": [first], "second": [second], "both": [first, second]}[fold]


def _change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The second at which the offset changes in (low, high]."""
    before = low.astimezone(zone).utcoffset()
    while high - low > _SECOND:
        middle = low + ((high - low) // 2 // _SECOND) * _SECOND
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=65_536)
def _parsed(schedule: str) -> _Cron:
    words = _NICKNAMES.get(schedule.strip().lower(), schedule).upper().split()
    if len(words) == 5:
        words = ["0", *words]
    seconds, minutes, hours = (_numbers(word, 0, highest) for word, highest in zip(words, (59, 59, 23), strict=False))
    times = tuple(hour * 3600 + minute * 60 + second for hour, minute, second in product(hours, minutes, seconds))
    return _Cron(
        times=times,
        is_day=lru_cache(maxsize=4096)(_day_test(words[3], words[4], words[5])),
        follows_real_time=words[1].startswith("*") or words[2].startswith("*"),
    )


def _day_test(days: str, months: str, weekdays: str) -> Callable[[date], bool]:
    in_month = set(_numbers(months, 1, 12, _MONTHS))
    either = not (days.startswith("*") or weekdays.startswith("*"))

    def is_day(day: date) -> bool:
        if day.month not in in_month:
            return False
        found = [
            any(_is_day_of_month(item, day) for item in days.split(",")),
            any(_is_weekday(item, day) for item in weekdays.split(",")),
        ]
        return any(found) if either else all(found)

    return is_day


def _is_day_of_month(item: str, day: date) -> bool:
    return (day + _DAY).day == 1 if item == "L" else day.day in _numbers(item, 1, 31)


def _is_weekday(item: str, day: date) -> bool:
    weekday = day.isoweekday() % 7
    if found := re.fullmatch(r"(.+)#(\d)", item):
        return weekday in _numbers(found[1], 0, 7, _WEEKDAYS) and (day.day + 6) // 7 == int(found[2])
    if found := re.fullmatch(r"(\d)L|L(\d)", item):
        return weekday == int(found[1] or found[2]) % 7 and (day + 7 * _DAY).month != day.month
    numbers = _numbers(item, 0, 7, _WEEKDAYS)
    return weekday in numbers or (weekday == 0 and 7 in numbers)


@lru_cache(maxsize=65_536)
def _numbers(text: str, lowest: int, highest: int, names: tuple[str, ...] = ()) -> tuple[int, ...]:
    found: set[int] = set()
    for item in text.split(","):
        span, slash, step = item.partition("/")
        low, dash, high = span.partition("-")
        if span == "*":
            begin, end = lowest, highest
        else:
            begin = _number(low, lowest, names)
            end = _number(high, lowest, names) if dash else highest if slash else begin
        found.update(range(begin, end + 1, int(step or 1)))
    return tuple(sorted(found))


def _number(text: str, lowest: int, names: tuple[str, ...]) -> int:
    return lowest + names.index(text) if text in names else int(text)
