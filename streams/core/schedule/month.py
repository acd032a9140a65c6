"""Which days of one month match the day fields of a cron schedule, to count occurrences and to detect none."""

from __future__ import annotations

from functools import lru_cache

LAST_DAY = 32
"""A value in the days of a month: the last day."""
LAST_WEEKDAY = 60
"""In the weekdays, 60 + d is the last weekday d of the month, 10 n + d the n-th, and 0 to 6 every one."""


@lru_cache(maxsize=65536)
def matching_days(
    days: tuple[int, ...],
    weekdays: tuple[int, ...],
    first: int,
    length: int,
    either: bool,  # noqa: FBT001 - a part of the schedule
) -> tuple[int, ...]:
    """The matching days, ascending, of a month with `length` days that begins on weekday `first` (Sunday is 0).

    `either`: one of the two fields must match; otherwise both.
    """
    by_day = {day for day in days if day <= length} | ({length} if LAST_DAY in days else set())
    by_weekday = {day for day in range(1, length + 1) if _is_among(weekdays, (first + day - 1) % 7, day, length)}
    return tuple(sorted(by_day | by_weekday if either else by_day & by_weekday))


def _is_among(weekdays: tuple[int, ...], weekday: int, day: int, length: int) -> bool:
    nth = (day + 6) // 7
    is_last = day + 7 > length
    return weekday in weekdays or 10 * nth + weekday in weekdays or (is_last and LAST_WEEKDAY + weekday in weekdays)
