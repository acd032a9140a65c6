"""What croniter 5.0.1 gets wrong, and what Tidemill computes itself for that reason (decision 39).

Each case holds both sides: croniter's answer, and ours. When a new croniter gets a case right, the test fails on
croniter's side: then delete the case, and our own code that it justifies.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from croniter.croniter import CroniterError

from streams.core.schedule.dst import DstRules
from streams.core.schedule.occurrences import InvalidScheduleError, latest, next_after, occurrences, parse_schedule

BERLIN = "Europe/Berlin"
DEBIAN = DstRules()


def at(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def croniter_next(text, start, count):
    engine = croniter(text, start)
    return [engine.get_next(datetime) for _ in range(count)]


def our_next(text, start, count, zone="UTC"):
    start = start.astimezone(UTC)
    return occurrences(parse_schedule(text), zone, DEBIAN, start, start + timedelta(days=900), count)


def test_a_search_forwards_loses_a_day_after_a_short_month():
    """`schedule/days.py` asks for the days that some months lack one by one."""
    start = at("2026-02-10")
    assert croniter_next("0 0 1,30 * *", start, 1) == [at("2026-03-30")]
    assert our_next("0 0 1,30 * *", start, 1) == [at("2026-03-01")]


def test_a_search_backwards_loses_the_29th_of_february():
    """`schedule/days.py`, as above."""
    seen = at("2024-03-02")
    assert croniter("0 0 27,29 * *", seen).get_prev(datetime) == at("2024-02-27")
    assert latest(parse_schedule("0 0 27,29 * *"), "UTC", DEBIAN, at("2023-01-01"), seen) == at("2024-02-29")


def test_a_weekday_and_an_nth_weekday_in_one_field_are_refused():
    """`schedule/days.py` asks for each kind of weekday by itself."""
    with pytest.raises(CroniterError):
        croniter("0 0 * * MON,FRI#1", at("2026-06-01"))
    assert our_next("0 0 * * MON,FRI#1", at("2026-06-02"), 2) == [at("2026-06-05"), at("2026-06-08")]


def test_a_stepped_star_must_match_together_with_the_weekday_as_in_debian():
    """Whether both day fields must match, `Cron.either_day` says; croniter takes `*/10` for a list of days."""
    start = at("2026-05-31")
    assert croniter_next("0 3 */10 * MON", start, 2) == [at("2026-05-31T03:00"), at("2026-06-01T03:00")]
    assert our_next("0 3 */10 * MON", start, 2) == [at("2026-06-01T03:00"), at("2026-08-31T03:00")]


def test_wall_clock_times_move_after_a_change_of_the_clock():
    """`schedule/dst.py` and `schedule/zone.py`: croniter runs the job of half past two an hour late, a day later."""
    start = at("2026-10-24T12:00", BERLIN)
    assert croniter_next("30 2 * * *", start, 2)[1] == at("2026-10-26T03:30", BERLIN)
    assert our_next("30 2 * * *", start, 2, BERLIN)[1] == at("2026-10-26T02:30", BERLIN)


def test_a_wildcard_loses_the_hour_that_the_clock_shows_twice():
    """`schedule/dst.py`: a wildcard follows real time, so the hour from two to three has four half hours."""
    start = at("2026-10-25T01:45", BERLIN)
    half_hours = [start.timestamp() + 60 * (15 + 30 * each) for each in range(4)]
    assert [each.timestamp() for each in croniter_next("*/30 * * * *", start, 4)] != half_hours
    assert [each.timestamp() for each in our_next("*/30 * * * *", start, 4, BERLIN)] == half_hours


@pytest.mark.parametrize(
    "text",
    ["5-1 * * * *", "0 0 * FEB-JAN *", "R * * * *", "0 0 ? * MON"],
    ids=["backwards", "months backwards", "random", "question mark"],
)
def test_fields_with_another_meaning_or_none_are_accepted(text):
    """`schedule/cron.py` has a grammar of its own: the table refuses by the same one, with the same sentences."""
    assert croniter(text, at("2026-01-01")).get_next(datetime)
    with pytest.raises(InvalidScheduleError):
        parse_schedule(text)


def test_croniters_refusal_does_not_say_what_is_allowed():
    """`schedule/cron.py` names the field, what is wrong and what to write."""
    with pytest.raises(CroniterError) as theirs:
        croniter("60 * * * *", at("2026-01-01"))
    with pytest.raises(InvalidScheduleError) as ours:
        parse_schedule("60 * * * *")
    assert "minute" not in str(theirs.value)
    assert str(ours.value) == 'minute "60" is out of range: write a number from 0 to 59'


def test_a_schedule_that_never_fires_is_found_at_its_first_search_only():
    """`schedule/cron.py` refuses it when the row is written."""
    engine = croniter("0 0 31 2 *", at("2026-01-01"))
    with pytest.raises(CroniterError):
        engine.get_next(datetime)
    with pytest.raises(InvalidScheduleError, match="never fires"):
        parse_schedule("0 0 31 2 *")


def test_croniter_finds_days_correctly():
    """All other answers about days come from it: if it fails here, nothing else holds."""
    found = our_next("0 0 13 * FRI", at("2026-01-01"), 3)
    assert found == [at("2026-01-02"), at("2026-01-09"), at("2026-01-13")]
    assert next_after(parse_schedule("0 0 L 2 *"), "UTC", DEBIAN, at("2027-12-31")) == at("2028-02-29")
