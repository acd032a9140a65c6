"""When schedules fire: intervals, instants, clock changes, and the latest occurrence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from streams.core.schedule.occurrences import (
    HORIZON,
    DstRules,
    count_between,
    latest,
    local_note,
    next_after,
    occurrences,
    parse_schedule,
)
from streams.core.schedule.zone import UnknownZoneError, load

DEFAULT = DstRules()
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(text, zone, day, dst=DEFAULT):
    """The occurrences from the noon before `day` (UTC) to the noon of the day after it, as UTC times."""
    noon = utc(day) - timedelta(hours=12)
    found = occurrences(parse_schedule(text), zone, dst, noon, noon + timedelta(days=2), 1000)
    return [f"{each:%d %H:%M}" for each in found]


def test_next_is_strictly_after():
    every_minute = parse_schedule("* * * * *")
    assert next_after(every_minute, "UTC", DEFAULT, NOON) == NOON + timedelta(minutes=1)
    assert next_after(every_minute, "UTC", DEFAULT, NOON - timedelta(microseconds=1)) == NOON


def test_a_job_in_the_gap_runs_once_right_after_it():
    assert fires("30 2 * * *", "Europe/Berlin", "2026-03-29") == ["29 01:00", "30 00:30"]
    assert fires("0,15,30 2 * * *", "Europe/Berlin", "2026-03-29")[0] == "29 01:00"


def test_an_occurrence_shifted_by_the_gap_merges_with_one_at_that_time():
    assert fires("0 2,3 * * *", "Europe/Berlin", "2026-03-29") == ["29 01:00", "30 00:00", "30 01:00"]


def test_the_rule_skip_drops_a_job_in_the_gap():
    assert fires("30 2 * * *", "Europe/Berlin", "2026-03-29", DstRules(gap="skip")) == ["30 00:30"]


def test_a_wildcard_hour_is_not_shifted_by_the_gap():
    assert fires("30 * * * *", "Europe/Berlin", "2026-03-29")[12:15] == ["29 00:30", "29 01:30", "29 02:30"]
    assert fires("*/30 2 * * *", "Europe/Berlin", "2026-03-29") == ["30 00:00", "30 00:30"]


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        (None, ["25 00:30", "26 01:30"]),
        ("first", ["25 00:30", "26 01:30"]),
        ("second", ["25 01:30", "26 01:30"]),
        ("both", ["25 00:30", "25 01:30", "26 01:30"]),
    ],
)
def test_fixed_hours_run_in_the_fold_as_their_rule_says(fold, expected):
    assert fires("30 2 * * *", "Europe/Berlin", "2026-10-25", DstRules(fold=fold)) == expected


def test_a_wildcard_hour_runs_through_the_fold_in_real_time():
    start = utc("2026-10-24")
    every_half = parse_schedule("*/30 * * * *")
    found = occurrences(every_half, "Europe/Berlin", DEFAULT, start, start + timedelta(days=2), 1000)
    assert found == [start + timedelta(minutes=30 * number) for number in range(1, 97)]


def test_odd_zones_keep_the_rules():
    # Lord Howe changes by half an hour: 02:00 becomes 02:30, and back.
    assert fires("15 2 * * *", "Australia/Lord_Howe", "2026-10-03")[1] == "03 15:30"
    assert fires("45 1 * * *", "Australia/Lord_Howe", "2026-04-04", DstRules(fold="both"))[1:3] == [
        "04 14:45",
        "04 15:15",
    ]
    # Midnight was in the gap, in Sao Paulo.
    assert fires("0 0 * * *", "America/Sao_Paulo", "2018-11-04") == ["04 03:00", "05 02:00"]
    # Apia had no December 30th in 2011.
    assert fires("30 12 * * *", "Pacific/Apia", "2011-12-30") == ["29 22:30", "30 10:00", "30 22:30"]
    # Dublin calls summer time its standard time; the clock changes alike.
    assert fires("30 1 * * *", "Europe/Dublin", "2026-03-29") == ["29 01:00", "30 00:30"]
    # Troll's clock goes back by two hours.
    assert fires("16 2 * * *", "Antarctica/Troll", "2012-10-28", DstRules(fold="both")) == [
        "28 00:16",
        "28 02:16",
        "29 02:16",
    ]


def test_debian_takes_either_day_only_when_neither_field_begins_with_a_star():
    assert days_of_june("0 3 1,10 * MON") == [1, 8, 10, 15, 22, 29]
    assert days_of_june("0 3 */10 * MON") == [1]
    assert days_of_june("0 3 L * *") == [30]
    assert days_of_june("0 3 * * 2L,FRI#1") == [5, 30]


def days_of_june(text):
    found = occurrences(parse_schedule(text), "UTC", DEFAULT, utc("2026-06-01"), utc("2026-07-01"), 99)
    return [each.day for each in found]


def test_croniter_s_lost_days_are_found():
    year = (utc("2023-12-31"), utc("2024-12-31"))
    found = occurrences(parse_schedule("0 0 1,30 2,3 *"), "UTC", DEFAULT, *year, 99)
    assert [f"{each:%m-%d}" for each in found] == ["02-01", "03-01", "03-30"]
    assert latest(parse_schedule("0 0 27,29 2 *"), "UTC", DEFAULT, year[0], utc("2024-03-15")) == utc("2024-02-29")


def test_an_interval_counts_from_the_epoch_so_an_edit_never_shifts_it():
    every = parse_schedule("@every 90s")
    found = next_after(every, "Asia/Kathmandu", DEFAULT, NOON)
    assert found
    assert found.timestamp() % 90 == 0


def test_an_interval_with_a_start_first_fires_at_its_start():
    start = NOON + timedelta(seconds=7)
    every = parse_schedule("@every 1h")
    assert next_after(every, "UTC", DEFAULT, NOON, starts_at=start) == start
    assert next_after(every, "UTC", DEFAULT, start, starts_at=start) == start + timedelta(hours=1)
    assert latest(every, "UTC", DEFAULT, NOON, NOON + timedelta(hours=3), starts_at=start) == start + timedelta(hours=2)
    assert latest(every, "UTC", DEFAULT, NOON - timedelta(days=1), NOON, starts_at=start) is None


def test_counting_an_interval_does_not_enumerate_it():
    every = parse_schedule("@every 1s")
    assert count_between(every, "UTC", DEFAULT, utc("1970-01-01"), utc("2100-01-01"), 10**12) == 4_102_444_800
    assert count_between(every, "UTC", DEFAULT, NOON, NOON + timedelta(days=1), 1000) == 1000
    assert count_between(every, "UTC", DEFAULT, NOON, NOON, 10) == 0


def test_counting_stops_at_the_limit():
    assert count_between(parse_schedule("* * * * * *"), "UTC", DEFAULT, NOON, HORIZON, 50) == 50


def test_an_instant_fires_once():
    at = parse_schedule("@at 2026-11-21T12:00:00Z")
    assert next_after(at, "UTC", DEFAULT, NOON - timedelta(days=1)) == NOON
    assert next_after(at, "UTC", DEFAULT, NOON) is None
    assert latest(at, "UTC", DEFAULT, NOON - timedelta(days=1), NOON) == NOON
    assert latest(at, "UTC", DEFAULT, NOON, NOON + timedelta(days=1)) is None


def test_a_rare_day_is_found_in_both_directions_up_to_the_horizon():
    rare = parse_schedule("0 0 29 2 */7")
    assert next_after(rare, "Europe/Berlin", DEFAULT, NOON) == utc("2032-02-28T23:00:00")
    assert latest(rare, "Europe/Berlin", DEFAULT, utc("1970-01-02"), NOON) == utc("2004-02-28T23:00:00")
    assert next_after(rare, "UTC", DEFAULT, utc("2199-01-01")) is None
    assert latest(rare, "UTC", DEFAULT, utc("2026-01-01"), NOON) is None


def test_notes_tell_the_effect_of_a_clock_change():
    assert note("2026-03-28T01:30:00") is None
    assert note("2026-03-29T01:00:00") == "shifted from 2026-03-29 02:30:00, which the clock leaves out"
    assert note("2026-10-25T00:30:00").startswith("first of two")
    assert note("2026-10-25T01:30:00").startswith("second of two")


def note(text):
    return local_note(parse_schedule("30 2 * * *"), "Europe/Berlin", DEFAULT, utc(text))


@pytest.mark.parametrize("name", ["europe/berlin", "localtime", "posix/Europe/Berlin", "CEST", "UTC+1", "", "../UTC"])
def test_a_zone_is_known_by_its_exact_name_only(name):
    with pytest.raises(UnknownZoneError) as refused:
        load(name)
    assert f'timezone is "{name}"' in str(refused.value)


def test_a_zone_with_wrong_case_is_suggested():
    with pytest.raises(UnknownZoneError, match='did you mean "Europe/Berlin"'):
        load("europe/berlin")
