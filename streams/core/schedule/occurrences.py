"""When a schedule fires: pure functions from a schedule, a zone and an interval to occurrences.

All instants are aware UTC. Its instant identifies an occurrence, so wall-clock times that a DST change moves onto one
instant are one occurrence. The caller applies the job's `starts_at` and `ends_at`; `starts_at` is passed here only
because it is the phase of `@every`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, assert_never

from schemas.times import EPOCH
from streams.core.schedule import zone as zones
from streams.core.schedule.cron import At, Cron, Every, InvalidScheduleError, Schedule, parse
from streams.core.schedule.days import first_wall_time, last_wall_time
from streams.core.schedule.dst import DstRules, gap_before, rules_for, shifted_gap, wall_times_of
from streams.core.schedule.wall_times import count_wall_times

if TYPE_CHECKING:
    from streams.core.schedule.zone import Stretch

HORIZON = datetime(2200, 1, 1, tzinfo=UTC)
"""No occurrence is at or after this time; the grammar ends here too."""
_SECOND = timedelta(seconds=1)
_WIDEST_CHANGE = timedelta(days=2)
"""More than any zone's largest change of offset, so that a search skips no change."""

parse_schedule = parse


def next_after(
    schedule: Schedule,
    zone: str,
    dst: DstRules,
    after: datetime,
    starts_at: datetime | None = None,
) -> datetime | None:
    """The first occurrence strictly after `after`; None: there is none before `HORIZON`."""
    match schedule:
        case Cron():
            found = _cron_after(schedule, zone, dst, after)
        case Every():
            found = _every_after(schedule, after, starts_at)
        case At():
            found = schedule.instant if schedule.instant > after else None
        case _:
            assert_never(schedule)
    return found if found and found < HORIZON else None


def occurrences(
    schedule: Schedule,
    zone: str,
    dst: DstRules,
    after: datetime,
    until: datetime,
    limit: int,
    starts_at: datetime | None = None,
) -> list[datetime]:
    """The first `limit` occurrences in (after, until], ascending."""
    found: list[datetime] = []
    while len(found) < limit:
        following = next_after(schedule, zone, dst, after, starts_at)
        if following is None or following > until:
            break
        found.append(following)
        after = following
    return found


def latest(
    schedule: Schedule,
    zone: str,
    dst: DstRules,
    after: datetime,
    until: datetime,
    starts_at: datetime | None = None,
) -> datetime | None:
    """The last occurrence in (after, until], found without computing those before it."""
    until = min(until, HORIZON - _SECOND)
    match schedule:
        case Cron():
            return _cron_until(schedule, zone, dst, after, until)
        case Every():
            phase = starts_at or EPOCH
            found = phase + (until - phase) // schedule.interval * schedule.interval
            return found if found > after and (starts_at is None or found >= starts_at) else None
        case At():
            return schedule.instant if after < schedule.instant <= until else None
        case _:
            assert_never(schedule)


def count_between(
    schedule: Schedule,
    zone: str,
    dst: DstRules,
    after: datetime,
    until: datetime,
    limit: int,
    starts_at: datetime | None = None,
) -> int:
    """How many occurrences are in (after, until], at most `limit`. It computes the count, not the occurrences."""
    match schedule:
        case Cron():
            return _count_cron(schedule, zone, dst, after, min(until, HORIZON - _SECOND), limit)
        case Every():
            first = next_after(schedule, zone, dst, after, starts_at)
            last = latest(schedule, zone, dst, after, until, starts_at)
            return min(limit, (last - first) // schedule.interval + 1) if first and last else 0
        case At():
            return min(limit, 1) if after < schedule.instant <= until else 0
        case _:
            assert_never(schedule)


def local_note(schedule: Schedule, zone: str, dst: DstRules, occurrence: datetime) -> str | None:
    """What a DST change did to this occurrence, in a few words; None: nothing."""
    stretch = _stretch_at(zone, occurrence)
    gap = gap_before(stretch) if isinstance(schedule, Cron) else None
    if isinstance(schedule, Cron) and gap and occurrence == stretch.start:
        missing = first_wall_time(schedule, gap.low)
        if missing and missing < gap.high and shifted_gap(stretch, rules_for(schedule, dst)):
            return f"shifted from {missing:%Y-%m-%d %H:%M:%S}, which the clock leaves out"
    if occurrence + (stretch.offset - stretch.offset_after) >= stretch.end:
        return "first of two: the clock is put back and shows this time again"
    if occurrence - (stretch.offset_before - stretch.offset) < stretch.start:
        return "second of two: the clock was put back and shows this time again"
    return None


def _every_after(every: Every, after: datetime, starts_at: datetime | None) -> datetime:
    if starts_at and after < starts_at:
        return starts_at
    phase = starts_at or EPOCH
    return phase + ((after - phase) // every.interval + 1) * every.interval


def _cron_after(cron: Cron, zone: str, dst: DstRules, after: datetime) -> datetime | None:
    rules = rules_for(cron, dst)
    after = max(after, EPOCH - _SECOND)
    nothing_before = after
    while nothing_before < HORIZON:
        stretch = _stretch_at(zone, nothing_before)
        gap = shifted_gap(stretch, rules)
        if gap and stretch.start > after:
            missing = first_wall_time(cron, gap.low)
            if missing and missing < gap.high:
                return stretch.start
        span = wall_times_of(stretch, rules)
        wall_time = first_wall_time(cron, max(span.low, _whole(after, stretch) + _SECOND))
        if wall_time is None:
            return None
        if wall_time < span.high:
            return _instant(wall_time, stretch)
        nothing_before = stretch.end
        if stretch.offset_after >= stretch.offset:  # otherwise times before `wall_time` occur again
            nothing_before = max(nothing_before, _instant(wall_time, stretch) - _WIDEST_CHANGE)
    return None


def _cron_until(cron: Cron, zone: str, dst: DstRules, after: datetime, until: datetime) -> datetime | None:
    rules = rules_for(cron, dst)
    after = max(after, EPOCH - _SECOND)
    nothing_after = until
    while nothing_after > after:
        stretch = _stretch_at(zone, nothing_after)
        span = wall_times_of(stretch, rules)
        wall_time = last_wall_time(cron, min(span.high - _SECOND, _whole(until, stretch)))
        if wall_time and wall_time >= span.low:
            found = _instant(wall_time, stretch)
            return found if found > after else None
        gap = shifted_gap(stretch, rules)
        missing = gap and last_wall_time(cron, gap.high - _SECOND)
        if gap and missing and missing >= gap.low:
            return stretch.start if stretch.start > after else None
        if wall_time is None:
            return None
        nothing_after = stretch.start - _SECOND
        if stretch.offset_before <= stretch.offset:  # otherwise times after `wall_time` occurred before
            nothing_after = min(nothing_after, _instant(wall_time, stretch) + _WIDEST_CHANGE)
    return None


def _count_cron(cron: Cron, zone: str, dst: DstRules, after: datetime, until: datetime, limit: int) -> int:
    rules = rules_for(cron, dst)
    after = max(after, EPOCH - _SECOND)
    count, counted_to = 0, after
    while counted_to <= until and count < limit:
        stretch = _stretch_at(zone, counted_to)
        span = wall_times_of(stretch, rules)
        low = max(span.low, _whole(after, stretch) + _SECOND)
        high = min(span.high, _whole(until, stretch) + _SECOND)
        count += count_wall_times(cron, low, high)
        if after < stretch.start <= until and _is_shifted_to_start(cron, stretch, rules):
            count += 1
        counted_to = stretch.end
    return min(count, limit)


def _is_shifted_to_start(cron: Cron, stretch: Stretch, rules: DstRules) -> bool:
    """Whether occurrences in the gap shift to the start of the stretch, and it has none of its own there."""
    gap = shifted_gap(stretch, rules)
    if gap is None or count_wall_times(cron, gap.low, gap.high) == 0:
        return False
    start = _wall_time(stretch.start, stretch)
    return count_wall_times(cron, start, start + _SECOND) == 0


def _stretch_at(zone: str, instant: datetime) -> Stretch:
    return next(each for each in zones.stretches(zone, instant.year) if instant < each.end)


def _wall_time(instant: datetime, stretch: Stretch) -> datetime:
    return instant.replace(tzinfo=None) + stretch.offset


def _whole(instant: datetime, stretch: Stretch) -> datetime:
    return _wall_time(instant, stretch).replace(microsecond=0)


def _instant(wall_time: datetime, stretch: Stretch) -> datetime:
    return (wall_time - stretch.offset).replace(tzinfo=UTC)


__all__ = [
    "HORIZON",
    "At",
    "Cron",
    "DstRules",
    "Every",
    "InvalidScheduleError",
    "Schedule",
    "count_between",
    "latest",
    "local_note",
    "next_after",
    "occurrences",
    "parse_schedule",
]
