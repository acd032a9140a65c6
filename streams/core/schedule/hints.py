"""Hints for invalid schedules that are written as in other schedulers.

`tidemill.schedule_habit` (schemas/tables/0003_schedules.sql) is the same table in SQL, with the same sentences. Both
are called only for invalid schedules.
"""

from __future__ import annotations

import re

_VARIABLE = re.compile(r"[A-Za-z_]+=.*")
_FIELD = re.compile(
    r"(?:[0-9*?,/#LWH()-]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|SUN|MON|TUE|WED|THU|FRI|SAT)+"
)
"""Text that looks like a field, valid or not; upper case."""
_ZONE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z_/+-]+|UTC|GMT")
_EVERY = re.compile(
    r"(?:every )?(?:([0-9]{1,9}) ?)?(?:(s|secs?|seconds?)|(m|mins?|minutes?)|(h|hrs?|hours?)|(d|days?))",
)
_NICKNAME = re.compile(r"hourly|daily|midnight|weekly|monthly|yearly|annually")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*")
_WRAPPED = re.compile(r"(cron|rate)\(.*")
_UNITS = "smhd"


def habit(words: list[str]) -> str | None:
    """The hint for the words of an invalid schedule; None: the grammar's sentence is the best one."""
    return _first(words[0]) or _whole(" ".join(words).lower()) or _behind(words)


def _first(word: str) -> str | None:
    if _VARIABLE.fullmatch(word) and word.upper().startswith(("CRON_TZ=", "TZ=")):
        return f'"{word}" is not a field: set the zone in the column timezone'
    if _VARIABLE.fullmatch(word):
        return f'"{word}" is not a field: set variables in the column env'
    if _INSTANT.fullmatch(word):
        return "write one instant as @at and a time with its offset, such as @at 2026-11-21T03:00:00+01:00"
    return None


def _whole(text: str) -> str | None:
    if every := _EVERY.fullmatch(text):
        unit = next(letter for letter, found in zip(_UNITS, every.groups()[1:], strict=True) if found)
        return f"write an interval as @every {every[1] or 1}{unit}"
    if _NICKNAME.fullmatch(text):
        return f"write it with an @: @{text}"
    if _WRAPPED.fullmatch(text):
        return "write the five fields without cron( ), and an interval as @every 5m"
    return None


def _behind(words: list[str]) -> str | None:
    """The hint for words after the fields of a crontab."""
    are_fields = [bool(_FIELD.fullmatch(word.upper())) for word in words]
    if len(words) == 7 and all(are_fields):
        return "this one has 7 fields, and there is no field for the year; use the columns starts_at and ends_at"
    if len(words) < 6 or not all(are_fields[:5]) or all(are_fields):
        return None
    foreign = words[are_fields.index(False)]
    if _ZONE.fullmatch(foreign):
        return f'"{foreign}" comes after the fields: set the zone in the column timezone'
    return (
        f'"{foreign}" comes after the fields: a schedule has neither a user nor a command; '
        "set the program in the column executable, or let tidemill job put --command store it"
    )
