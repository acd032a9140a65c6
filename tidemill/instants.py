"""Parses the times that users write: with or without an offset, a day, or a duration from now."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.times import EPOCH, LATEST, rfc3339
from streams.core.schedule import zone as zones
from tidemill.output import complain
from tidemill.target import UsageError

_PARTS = re.compile(
    r"\s*(?P<number>[0-9]{1,9})\s*"
    r"(?:(?P<seconds>s|secs?|seconds?)|(?P<minutes>m|mins?|minutes?)|(?P<hours>h|hrs?|hours?)|"
    r"(?P<days>d|days?)|(?P<weeks>w|weeks?))(?![a-z])\s*"
)
_SIGNED = re.compile(r"(?P<later>\+|in )?(?P<earlier>-)?(?P<rest>.*?)(?P<ago> ago)?", re.DOTALL)
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
FORMS = (
    'such as 2026-11-21T03:00:00Z, "2026-11-21 03:00", 2026-11-21, 03:00, 90m, 2d, now, today, yesterday or tomorrow'
)


def parse_instant(option: str, text: str, now: datetime, timezone: str = "UTC", *, ago: bool = False) -> datetime:
    """The instant in UTC. A time without an offset is in `timezone`; `ago`: durations and times of day are past."""
    found = instant_in(text) or relative(text, now, timezone, ago=ago)
    found = found or _shown(option, on_its_day(text.strip(), now, timezone, ago=ago) or text, timezone)
    if found is None:
        raise UsageError(f"{option} {text!r} is not a time from 1970 to 2199, {FORMS}")
    return found.astimezone(UTC)


def instant_in(text: str) -> datetime | None:
    """None: the text is not a time, has no offset, or is outside the range of the tables."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo and EPOCH <= found <= LATEST else None


def relative(text: str, now: datetime, timezone: str, *, ago: bool) -> datetime | None:
    """A time relative to now: `2h`, `in 5 minutes`, `yesterday`."""
    try:
        found = _by_word(text.strip().lower(), now, timezone) or _by_duration(text.strip().lower(), now, ago=ago)
    except OverflowError:
        return None
    return found if found and EPOCH <= found <= LATEST else None


def print_instant(option: str, text: str | None, instant: datetime | None) -> None:
    """Print the instant on standard error, unless the user wrote it with an offset."""
    if text and instant and instant_in(text) is None:
        complain(f"{option} {text} is {rfc3339(instant)}")


def _by_word(text: str, now: datetime, timezone: str) -> datetime | None:
    if text == "now":
        return now
    if text not in _DAYS:
        return None
    zone = zones.load(timezone)
    return _midnight(now.astimezone(zone).date() + timedelta(days=_DAYS[text]), zone)


def _by_duration(text: str, now: datetime, *, ago: bool) -> datetime | None:
    signed = _SIGNED.fullmatch(text)
    duration = signed and duration_in(signed["rest"])
    if not signed or duration is None:
        return None
    is_past = bool(signed["ago"] or signed["earlier"]) or (ago and not signed["later"])
    return now - duration if is_past else now + duration


def duration_in(text: str) -> timedelta | None:
    """Parse 90s, `2 hours`, 1h30m, 1day; None: the text is not a duration."""
    total, position = timedelta(0), 0
    while position < len(text):
        found = _PARTS.match(text, position)
        if found is None:
            return None
        unit = next(name for name in ("seconds", "minutes", "hours", "days", "weeks") if found[name])
        total += timedelta(**{unit: int(found["number"])})
        position = found.end()
    return total if text else None


def on_its_day(text: str, now: datetime, timezone: str, *, ago: bool) -> str | None:
    """A time of day with its day: the last time it was, if `ago`, otherwise the next."""
    if not re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?", text):
        return None
    try:
        of_day = time.fromisoformat(text if text[1] != ":" else f"0{text}")
    except ValueError:
        return None
    zone = zones.load(timezone)
    today = now.astimezone(zone).date()
    days = [today + timedelta(days=each) for each in ((0, -1) if ago else (0, 1))]
    times = [datetime.combine(day, of_day, zone) for day in days]
    meant = next(each for each in times if (each <= now if ago else each > now))
    return meant.replace(tzinfo=None).isoformat(" ")


def _shown(option: str, text: str, timezone: str) -> datetime | None:
    """A local time, or the start of a day. Raises `UsageError` if a clock change makes it ambiguous or missing."""
    if (day := _day_in(text)) and EPOCH <= datetime.combine(day, time(0), UTC) <= LATEST:
        return _midnight(day, zones.load(timezone))
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        return None
    if given.tzinfo or not EPOCH <= given.replace(tzinfo=UTC) <= LATEST:
        return None
    found = readings(given, timezone)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"{option} {text!r} does not exist in {timezone}: the clock is put forward then")
    both = " or ".join(each.astimezone(zones.load(timezone)).isoformat() for each in found)
    raise UsageError(f"{option} {text!r} occurs twice in {timezone}: write {both}")


def _day_in(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def readings(given: datetime, timezone: str) -> list[datetime]:
    """The instants of a local time: one, or at a clock change two or none."""
    zone = zones.load(timezone)
    meant = {given.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(each for each in meant if each.astimezone(zone).replace(tzinfo=None) == given)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(0), zone)
