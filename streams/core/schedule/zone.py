"""Time zones: accepted names, and the stretches of constant offset of a zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from streams.core.schedule.cron import InvalidScheduleError

_NOT_IN_THE_DATABASE = frozenset({"localtime", "Factory", "posixrules"})
"""Names that depend on the machine or mean no zone. `available_timezones` omits `posix/...` and `right/...`."""
_PROBE = timedelta(hours=6)
"""No zone changes its offset twice within this time, so the search finds every change."""
_RESOLUTION = timedelta(seconds=1)


class UnknownZoneError(InvalidScheduleError):
    """No time zone has exactly this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """From `start` to before `end` (aware UTC) the zone has one offset; the offsets before and after are given."""

    start: datetime
    end: datetime
    offset: timedelta
    offset_before: timedelta
    offset_after: timedelta


@lru_cache(maxsize=1)
def known_names() -> frozenset[str]:
    """The names of the IANA database, including links."""
    return frozenset(available_timezones()) - _NOT_IN_THE_DATABASE


@lru_cache(maxsize=1024)
def load(name: str) -> ZoneInfo:
    """Raises `UnknownZoneError` with a sentence. The spelling must match exactly, on any file system."""
    if name not in known_names():
        near = f'; did you mean "{found}"?' if (found := _near(name)) else ""
        raise UnknownZoneError(
            f'timezone is "{name}": a time zone is a name of the IANA database in its exact spelling, '
            f"such as Europe/Berlin or UTC{near}"
        )
    return ZoneInfo(name)


def _near(name: str) -> str | None:
    """A name in another spelling, or the full name for a city."""
    written = name.lower().replace(" ", "_")
    found = [each for each in known_names() if f"/{each.lower()}".endswith(f"/{written}")]
    return min(found, key=lambda each: (len(each), each), default=None)


@lru_cache(maxsize=16384)
def stretches(name: str, year: int) -> tuple[Stretch, ...]:
    """The stretches of a year (UTC), without gaps; a stretch that crosses the year's border is cut there."""
    zone = load(name)
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    edges = [begin, *_changes(zone, begin, end), end]
    return tuple(
        Stretch(
            start=first,
            end=last,
            offset=_offset(zone, first),
            offset_before=_offset(zone, first - _RESOLUTION),
            offset_after=_offset(zone, last),
        )
        for first, last in pairwise(edges)
    )


def _changes(zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    """The instants strictly inside at which the offset changes."""
    found = []
    low = begin
    while low < end:
        high = min(low + _PROBE, end)
        if _offset(zone, low) != _offset(zone, high):
            change = _change(zone, low, high)
            found += [change] if change < end else []
        low = high
    return found


def _change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    before = _offset(zone, low)
    while high - low > _RESOLUTION:
        middle = low + (high - low) // (2 * _RESOLUTION) * _RESOLUTION
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return high


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)
