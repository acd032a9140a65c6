"""The grammar of schedules: parse text into a value, or raise a sentence that says what is wrong.

`tidemill.check_schedule` (schemas/tables/0003_schedules.sql) is the same grammar in SQL, with the same sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from schemas.errors import TidemillError
from schemas.times import EPOCH, LATEST, rfc3339
from streams.core.schedule.hints import habit
from streams.core.schedule.month import LAST_DAY, LAST_WEEKDAY, matching_days

MAX_CHARACTERS = 500
"""The limit of a schedule's length; a list of all minutes has 169."""
MAX_INTERVAL = timedelta(days=366)
MIN_INTERVAL = timedelta(seconds=1)

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_NO_REBOOT = (
    "no schedule follows the start of a machine; set the schedule to null, "
    "and let the machine call `tidemill run <job_id>` when it starts"
)
_MONTHS = dict(
    zip(["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], range(1, 13), strict=True)
)
_WEEKDAYS = dict(zip(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], range(7), strict=True))
_LAST_BY_NAME = re.compile(f"({'|'.join(_WEEKDAYS)})L|L({'|'.join(_WEEKDAYS)})?")
_WHITE_SPACE = re.compile(r"[ \t\r\n]+")
_NUMBER = re.compile(r"[0-9]{1,4}")
_EVERY = re.compile(
    r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})(?:\.([0-9]{1,3}))?s)?",
)
_AT = re.compile(
    r"((?:19[7-9]|20[0-9]|21[0-9])[0-9]-[0-9]{2}-[0-9]{2})T((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(?:\.([0-9]{1,3}))?(Z|([+-])(0[0-9]|1[0-4]):([0-5][0-9]))",
)


class InvalidScheduleError(TidemillError):
    """A schedule is invalid, or never fires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Wall-clock times: the field values, in ascending order."""

    expression: str
    """Six fields, seconds first, upper case."""
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either_day: bool
    """Debian: day-of-month OR day-of-week when neither begins with `*`, else both."""
    real_time: bool
    """Debian: if minute or hour begins with `*`, the schedule follows real time through a DST change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """Multiples of the interval since the Unix epoch, or since the start of the job."""

    interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """One instant."""

    instant: datetime


Schedule = Cron | Every | At


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    lowest: int
    highest: int
    size: int
    names: dict[str, int]
    allowed: str


def _field(name: str, lowest: int, highest: int, names: dict[str, int], size: int) -> _Field:
    words = list(names)
    by_name = f" or a name {words[0]} to {words[-1]}" if words else ""
    allowed = f"a number from {lowest} to {highest}{by_name}"
    return _Field(name=name, lowest=lowest, highest=highest, size=size, names=names, allowed=allowed)


_SECOND = _field("second", 0, 59, {}, 60)
_MINUTE = _field("minute", 0, 59, {}, 60)
_HOUR = _field("hour", 0, 23, {}, 24)
_DAY = _field("day-of-month", 1, 31, {}, 31)
_MONTH = _field("month", 1, 12, _MONTHS, 12)
_WEEKDAY = _field("day-of-week", 0, 7, _WEEKDAYS, 7)
_FIELDS = (_SECOND, _MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


@lru_cache(maxsize=65536)
def parse(text: str) -> Schedule:
    """Raises `InvalidScheduleError` with a sentence."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidScheduleError(f"a schedule has at most {MAX_CHARACTERS} characters, and this one has {len(text)}")
    if re.search(r"[^ -~\t\r\n]", text):
        raise InvalidScheduleError("a schedule may contain only printable ASCII characters")
    words = normal_white_space(text).split(" ")
    if words == [""]:
        raise InvalidScheduleError("a schedule must not be empty; null means that only requests start runs")
    if not words[0].startswith("@"):
        try:
            return _cron([word.upper() for word in words])
        except InvalidScheduleError as error:
            raise InvalidScheduleError(habit(words) or str(error)) from None
    return _nickname(words[0].lower(), words[1:])


def normal_white_space(text: str) -> str:
    """Single spaces between the words, none around them."""
    return _WHITE_SPACE.sub(" ", text).strip(" ")


def _nickname(name: str, rest: list[str]) -> Schedule:
    match name, rest:
        case "@every", [duration]:
            return _every(duration)
        case "@at", [instant]:
            return _at(instant)
        case "@every" | "@at", _:
            raise InvalidScheduleError(f"{name} takes one word, such as @every 90s or @at 2026-11-21T03:00:00+01:00")
        case _, []:
            if name in NICKNAMES:
                return _cron(NICKNAMES[name].split(" "))
        case _:
            if name in NICKNAMES:
                raise InvalidScheduleError(f"{name} takes nothing after it")
    why = f": {_NO_REBOOT}" if name == "@reboot" else ""
    raise InvalidScheduleError(f'"{name}" is not known{why}; allowed are {" ".join(NICKNAMES)} @every @at')


def _every(duration: str) -> Every:
    found = _EVERY.fullmatch(duration)
    if not found or not duration:
        raise InvalidScheduleError(
            f'"@every {duration}" is not understood: write numbers with the units d h m s, in this order, '
            "such as 90s, 1h30m or 1.5s"
        )
    days, hours, minutes, seconds = (int(each or 0) for each in found.group(1, 2, 3, 4))
    total_ms = ((days * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1000 + _milliseconds(found[5])
    if not MIN_INTERVAL.total_seconds() * 1000 <= total_ms <= MAX_INTERVAL.total_seconds() * 1000:
        raise InvalidScheduleError(f'"@every {duration}" is out of range: from 1s to {MAX_INTERVAL.days}d')
    return Every(interval=timedelta(milliseconds=total_ms))


def _at(text: str) -> At:
    found = _AT.fullmatch(text)
    instant = found and _utc(f"{found[1]}T{found[2]}+00:00")
    if not found or not instant:
        raise InvalidScheduleError(
            f'"@at {text}" is not understood: write a time from 1970 to 2199 with its offset and at most milliseconds, '
            "such as 2026-11-21T03:00:00Z or 2026-11-21T03:00:00.500+01:00"
        )
    offset = timedelta(hours=int(found[6] or 0), minutes=int(found[7] or 0)) * (-1 if found[5] == "-" else 1)
    instant += timedelta(milliseconds=_milliseconds(found[3])) - offset
    if not EPOCH <= instant <= LATEST:
        raise InvalidScheduleError(f'"@at {text}" is out of range: from 1970-01-01T00:00:00Z to {rfc3339(LATEST)}')
    return At(instant=instant)


def _utc(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:  # such as February 30th
        return None


def _milliseconds(decimals: str | None) -> int:
    return int((decimals or "").ljust(3, "0"))


def _cron(words: list[str]) -> Cron:
    if len(words) not in {5, 6}:
        raise InvalidScheduleError(
            "a schedule has five fields (minute hour day-of-month month day-of-week) or six with seconds first; "
            f"this one has {len(words)}"
        )
    words = words if len(words) == 6 else ["0", *words]
    seconds, minutes, hours, days, months, weekdays = map(_values, _FIELDS, words)
    cron = Cron(
        expression=" ".join(words),
        seconds=seconds,
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=weekdays,
        either_day=not (words[3].startswith("*") or words[5].startswith("*")),
        real_time=words[1].startswith("*") or words[2].startswith("*"),
    )
    if not _ever_fires(cron):
        raise InvalidScheduleError("it never fires: none of its months has one of its days")
    return cron


def _values(field: _Field, text: str) -> tuple[int, ...]:
    values: set[int] = set()
    for item in text.split(","):
        values.update(_item(field, item))
    if field is _WEEKDAY:
        values = {value - 7 if value % 10 == 7 else value for value in values}
    return tuple(sorted(values))


def _item(field: _Field, item: str) -> set[int]:
    if not item:
        raise InvalidScheduleError(f"{field.name} has an empty item: write {field.allowed}, *, a range or a list")
    if "?" in item:
        raise InvalidScheduleError(f'{field.name} "{item}" is not supported: write * for ?')
    if field is _DAY and "W" in item:
        raise InvalidScheduleError(f'{field.name} "{item}" is not supported: there is no W (nearest weekday)')
    if re.match(r"H([(/]|$)", item):
        raise InvalidScheduleError(
            f'{field.name} "{item}" is not supported: there is no H; use the column jitter to spread the start times'
        )
    if field is _DAY and item.startswith("L-"):
        raise InvalidScheduleError(f'{field.name} "{item}" is not supported: only L itself, the last day of the month')
    if field is _DAY and item == "L":
        return {LAST_DAY}
    if field is _WEEKDAY and (found := re.fullmatch(r"([0-7])L|L([0-7])", item)):
        return {LAST_WEEKDAY + int(found[1] or found[2])}
    if field is _WEEKDAY and (found := _LAST_BY_NAME.fullmatch(item)):
        raise InvalidScheduleError(f'{field.name} "{item}" is not understood: {_last(found[1] or found[2])}')
    if field is _WEEKDAY and "#" in item:
        return {_nth_weekday(item)}
    return _stepped(field, item)


def _last(name: str | None) -> str:
    if name is None:
        return "write L with its day, such as 5L for the last Friday of the month"
    return f"write {_WEEKDAYS[name]}L for the last {name} of the month"


def _nth_weekday(item: str) -> int:
    day, _, nth = item.partition("#")
    value = _value(_WEEKDAY, item, day)
    if nth not in {"1", "2", "3", "4", "5"}:
        raise InvalidScheduleError(f'day-of-week "{item}" is not understood: write a number from 1 to 5 after #')
    return 10 * int(nth) + value


def _stepped(field: _Field, item: str) -> set[int]:
    span, slash, step_text = item.partition("/")
    low_text, dash, high_text = span.partition("-")
    if span == "*":
        low, high = field.lowest, field.highest
    else:
        low = _value(field, item, low_text)
        high = _value(field, item, high_text) if dash else field.highest if slash else low
    if low > high:
        raise InvalidScheduleError(f'{field.name} "{item}" runs backwards{_forwards(field, low_text, high_text, item)}')
    step = _step(field, item, step_text) if slash else 1
    return set(range(low, high + 1, step))


def _forwards(field: _Field, low: str, high: str, item: str) -> str:
    """What to write for a range that wraps around the end of its field."""
    if "/" in item:
        return ": the smaller value of a range comes first"
    first, last = field.lowest, 6 if field is _WEEKDAY else field.highest
    names = list(field.names)
    begins, ends = _value(field, item, low), _value(field, item, high)
    to_last = low if begins == last else f"{low}-{names[-1] if low in names else last}"
    from_first = high if ends == first else f"{names[0] if high in names else first}-{high}"
    why = ", because SUN is 0" if field is _WEEKDAY and ends == first else ""
    return f"{why}: write {from_first if begins > last else f'{to_last},{from_first}'}"


def _step(field: _Field, item: str, text: str) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= field.size:
        raise InvalidScheduleError(
            f'{field.name} "{item}" has no valid step: write a number from 1 to {field.size} after /'
        )
    return int(text)


def _value(field: _Field, item: str, text: str) -> int:
    if text in field.names:
        return field.names[text]
    if not _NUMBER.fullmatch(text):
        raise InvalidScheduleError(
            f'{field.name} "{item}" is not understood: write {field.allowed}, *, a range or a list'
        )
    if not field.lowest <= int(text) <= field.highest:
        raise InvalidScheduleError(f'{field.name} "{item}" is out of range: write {field.allowed}')
    return int(text)


def _ever_fires(cron: Cron) -> bool:
    """Every month begins on every weekday in some year, so one match for any weekday is enough."""
    return cron.either_day or any(
        matching_days(cron.days, cron.weekdays, first, length, False)
        for month in cron.months
        for length in _LENGTHS[month]
        for first in range(7)
    )


_LENGTHS = {month: (30,) if month in {4, 6, 9, 11} else (28, 29) if month == 2 else (31,) for month in range(1, 13)}
