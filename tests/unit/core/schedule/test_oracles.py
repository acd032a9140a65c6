"""Schedules against two oracles: cronsim (Debian's rules), and a search that looks at every minute of real time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from streams.core.schedule.cron import LAST_DAY, LAST_WEEKDAY
from streams.core.schedule.occurrences import (
    HORIZON,
    DstRules,
    InvalidScheduleError,
    count_between,
    latest,
    occurrences,
    parse_schedule,
)
from streams.core.schedule.zone import stretches

ODD_CHANGES = [
    *["America/Sao_Paulo", "America/Havana", "Africa/Casablanca", "Asia/Tehran", "Asia/Gaza"],
    *["Pacific/Apia", "Australia/Lord_Howe"],
]
"""In these zones cronsim is no oracle for wildcards: it steps by hours from a midnight that does not exist, or over
a change by half an hour, and gets wrong times.
"""
ZONES = [
    *["UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Caracas"],
    *["Asia/Kathmandu", "Asia/Pyongyang", "Antarctica/Troll", *ODD_CHANGES],
]
AS_CRONSIM_DOES_WITH_SECONDS = DstRules(gap="skip", fold="both")
"""Cronsim lets six fields follow real time, as Debian has no six fields; here they follow the rules of five."""
MINUTE = timedelta(minutes=1)


def one_of(words):
    return st.sampled_from(words.split(" "))


five_fields = st.tuples(
    one_of("* 0 */15 */7 30 59 0,30 5-50/9"),
    one_of("* */2 */5 0 1 2 3 23 1-3 0,2,23 0-23/4"),
    one_of("* * */2 */10 */31 1 15 28 29 30 31 L 1,30 27,29 1,L 29-31 10-20 2,31"),
    one_of("* * 1 2 3 2,3 3,10 11 */2 JAN-MAR 4,6"),
    one_of("* * */2 */7 MON 0 7 1-5 5L 1#5 MON#1 1#1,3#3 6,0 1,3#2 5L,2"),
).map(" ".join)
seconds = st.sampled_from(["", "", "", "0 ", "*/20 ", "30 "])
zones = st.sampled_from(ZONES)
noons = st.integers(0, 30 * 365).map(lambda days: datetime(2005, 1, 1, 12) + timedelta(days=days))
rules = st.builds(DstRules, gap=one_of("shift skip"), fold=st.sampled_from([None, "first", "second", "both"]))


def parsed(text):
    try:
        return parse_schedule(text)
    except InvalidScheduleError:
        assume(condition=False)


@settings(max_examples=150, deadline=None)
@given(second=seconds, fields=five_fields, zone=zones, noon=noons)
@example(second="", fields="* 1 28 3 */7", zone="Antarctica/Troll", noon=datetime(2005, 1, 1, 12))
def test_default_schedules_equal_cronsim(second, fields, zone, noon):
    schedule = parsed(second + fields)
    dst = AS_CRONSIM_DOES_WITH_SECONDS if second else DstRules()
    assume(zone not in ODD_CHANGES or not (schedule.real_time or second))
    start = noon.replace(tzinfo=ZoneInfo(zone))
    found = [each.astimezone(UTC) for each in islice(CronSim(second + fields, start), 40)]
    expected = [each for each in found if each < HORIZON]
    # A schedule may never fire: on each of its days the clock skips its hour.
    until = found[-1] if found else HORIZON
    assert occurrences(schedule, zone, dst, start.astimezone(UTC), until, len(found) or 1) == expected


@settings(max_examples=100, deadline=None)
@given(second=seconds, fields=five_fields, zone=zones, noon=noons, dst=rules)
def test_latest_equals_the_last_of_all_occurrences(second, fields, zone, noon, dst):
    schedule = parsed(second + fields)
    start = noon.replace(tzinfo=UTC)
    found = [None, *occurrences(schedule, zone, dst, start, start + timedelta(days=2000), 300)]
    for before, each in list(pairwise(found))[-20:]:
        assert latest(schedule, zone, dst, start, each) == each
        assert latest(schedule, zone, dst, start, each - timedelta(seconds=1)) == before


@settings(max_examples=60, deadline=None)
@given(fields=five_fields, zone=zones, change=st.integers(0, 200), dst=rules)
def test_around_a_clock_change_occurrences_equal_a_search_by_minute(fields, zone, change, dst):
    schedule = parsed(fields)
    moments = changes(zone) or [datetime(2026, 1, 1, tzinfo=UTC)]
    moment = moments[change % len(moments)]
    start, end = moment - timedelta(hours=36), moment + timedelta(hours=36)
    expected = list(search(schedule, ZoneInfo(zone), dst, start, end))
    assert occurrences(schedule, zone, dst, start, end, 10_000) == expected


def search(cron, zone, dst, start, end):
    """Checks every minute: the clock's time matches, or the clock jumped here over a time that matches."""
    gap = "skip" if cron.real_time else dst.gap
    fold = dst.fold or ("both" if cron.real_time else "first")
    minute = start + MINUTE
    while minute <= end:
        local = minute.astimezone(zone)
        naive, offset = local.replace(tzinfo=None), local.utcoffset()
        first, second = (local.replace(fold=each).utcoffset() for each in (0, 1))
        shown = first == second or fold == "both" or offset == (first if fold == "first" else second)
        moved = left_out(minute, zone, naive) if gap == "shift" else ()
        if (shown and matches(cron, naive)) or any(matches(cron, each) for each in moved):
            yield minute
        minute += MINUTE


def left_out(minute, zone, naive):
    each = (minute - MINUTE).astimezone(zone).replace(tzinfo=None) + MINUTE
    while each < naive:
        yield each
        each += MINUTE


def matches(cron, local):
    length = ((local.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)).day
    weekday, nth = local.isoweekday() % 7, (local.day + 6) // 7
    day = local.day in cron.days or (LAST_DAY in cron.days and local.day == length)
    week = not {weekday, 10 * nth + weekday}.isdisjoint(cron.weekdays) or (
        LAST_WEEKDAY + weekday in cron.weekdays and local.day + 7 > length
    )
    on_day = (day or week) if cron.either_day else (day and week)
    return on_day and local.month in cron.months and local.hour in cron.hours and local.minute in cron.minutes


@cache
def changes(name):
    zone = ZoneInfo(name)
    hours_of_25_years = [datetime(2005, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(25 * 365 * 24)]
    offsets = [each.astimezone(zone).utcoffset() for each in hours_of_25_years]
    return [
        each for each, (before, after) in zip(hours_of_25_years[1:], pairwise(offsets), strict=True) if before != after
    ]


spans = st.integers(0, 400 * 24 * 3600).map(lambda each: timedelta(seconds=each))
every_or_at = st.sampled_from(["@every 90s", "@every 1h30m", "@at 2010-03-28T01:30:00Z", "@at 2199-12-31T23:59:59Z"])


@settings(max_examples=150, deadline=None)
@given(second=seconds, fields=five_fields, zone=zones, noon=noons, span=spans, dst=rules, limit=st.integers(1, 20_000))
@example("", "*/15 * * * *", "Europe/Berlin", datetime(2010, 3, 27, 12), timedelta(days=2), DstRules(), 500)
@example("", "30 2 * * *", "Europe/Berlin", datetime(2010, 3, 1, 12), timedelta(days=300), DstRules(), 500)
@example("", "0,30 2-3 * * *", "Europe/Berlin", datetime(2010, 3, 1, 12), timedelta(days=300), DstRules(), 500)
@example("", "0 0 30 12 *", "Pacific/Apia", datetime(2010, 3, 1, 12), timedelta(days=400), DstRules(), 500)
def test_counting_equals_the_number_of_occurrences(second, fields, zone, noon, span, dst, limit):
    schedule = parsed(second + fields)
    start = noon.replace(tzinfo=UTC) + timedelta(microseconds=limit % 2)
    found = occurrences(schedule, zone, dst, start, start + span, limit)
    assert count_between(schedule, zone, dst, start, start + span, limit) == len(found)


@settings(max_examples=200, deadline=None)
@given(text=five_fields, zone=zones, noon=noons, dst=rules, hours=st.integers(0, 72), odd=st.booleans())
def test_counting_around_a_clock_change_equals_the_number_of_occurrences(text, zone, noon, dst, hours, odd):
    schedule = parsed(text)
    edge = next((each.start for each in stretches(zone, noon.year)[1:]), noon.replace(tzinfo=UTC))
    for start in (edge - timedelta(hours=hours), edge, edge - timedelta(seconds=1), edge + timedelta(minutes=30)):
        until = edge + timedelta(hours=hours, seconds=odd)
        found = occurrences(schedule, zone, dst, start, until, 10_000)
        assert count_between(schedule, zone, dst, start, until, 10_000) == len(found)


@settings(max_examples=50, deadline=None)
@given(text=every_or_at, noon=noons, span=spans, limit=st.integers(1, 300))
def test_counting_intervals_and_instants_equals_the_number_of_occurrences(text, noon, span, limit):
    schedule, start = parse_schedule(text), noon.replace(tzinfo=UTC)
    found = occurrences(schedule, "UTC", DstRules(), start, start + span, limit)
    assert count_between(schedule, "UTC", DstRules(), start, start + span, limit) == len(found)
