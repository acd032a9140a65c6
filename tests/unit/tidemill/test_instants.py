"""Forms of times that users write: with an offset or in a zone, a day, or a duration ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tidemill.instants import parse_instant, print_instant
from tidemill.target import UsageError

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1day", 86_400),
        ("1 day", 86_400),
        ("2 hours", 7_200),
        ("1h30m", 5_400),
        ("1h 30 min", 5_400),
        ("1w", 604_800),
        ("10 Mins", 600),
    ],
)
def test_a_duration_is_so_long_ago_or_from_now(text, seconds):
    assert parse_instant("--since", text, NOW, ago=True) == NOW - timedelta(seconds=seconds)
    assert parse_instant("--at", text, NOW) == NOW + timedelta(seconds=seconds)
    assert (
        parse_instant("--at", f"in {text}", NOW)
        == parse_instant("--at", f"+{text}", NOW)
        == NOW + timedelta(seconds=seconds)
    )
    assert (
        parse_instant("--at", f"{text} ago", NOW)
        == parse_instant("--at", f"-{text}", NOW)
        == NOW - timedelta(seconds=seconds)
    )


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-06", "2026-03-05T23:00:00"),
        ("2026-03-06 12:00", "2026-03-06T11:00:00"),
        ("2026-07-06T12:00", "2026-07-06T10:00:00"),
        ("2026-03-06T12:00:00Z", "2026-03-06T12:00:00"),
        ("now", "2026-11-30T03:00:00"),
        ("today", "2026-11-29T23:00:00"),
        ("Yesterday", "2026-11-28T23:00:00"),
        ("tomorrow", "2026-11-30T23:00:00"),
    ],
)
def test_a_time_without_an_offset_is_one_of_the_zone(text, utc):
    assert parse_instant("--at", text, NOW, "Europe/Berlin") == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "timezone", "utc"),
    [
        ("2026-09-06", "America/Santiago", "2026-09-06T04:00:00"),  # the day starts at 01:00
        ("2026-11-01", "America/Havana", "2026-11-01T04:00:00"),  # the day has 00:00 twice
    ],
)
def test_a_day_is_its_beginning_whatever_the_clocks_do_then(day, timezone, utc):
    assert parse_instant("--at", day, NOW, timezone) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def test_a_time_of_day_is_the_last_or_the_next_one():
    assert parse_instant("--at", "03:00", NOW) == NOW + timedelta(days=1)
    assert parse_instant("--at", "3:30", NOW) == NOW + timedelta(minutes=30)
    assert parse_instant("--since", "03:00", NOW, ago=True) == NOW
    assert parse_instant("--since", "03:30:00", NOW, ago=True) == NOW + timedelta(minutes=30, days=-1)


@pytest.mark.parametrize("text", ["soon", "90", "1 month", "5x", "25:00", "2026-13-01", "999999d", "", "m", "-", "in"])
def test_what_is_no_time_is_refused_with_the_forms_that_are(text):
    with pytest.raises(
        UsageError, match=r"--at '.*' is not a time from 1970 to 2199, such as .*2026-11-21, 03:00, 90m, 2d"
    ):
        parse_instant("--at", text, NOW)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-10-25 02:30", "occurs twice .* write 2026-10-25T02:30:00[+]02:00 or 2026-10-25T02:30:00[+]01:00"),
        ("2026-03-29 02:30", "does not exist in Europe/Berlin"),
    ],
)
def test_a_time_that_the_clocks_show_twice_or_never_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        parse_instant("--at", text, NOW, "Europe/Berlin")


def test_what_follows_from_a_guess_is_said(capsys):
    print_instant("--at", "5m", NOW)
    print_instant("--at", "2026-11-30T03:00:00Z", NOW)
    assert capsys.readouterr() == ("", "tidemill: --at 5m is 2026-11-30T03:00:00.000Z\n")


@pytest.mark.parametrize(
    ("now", "said"),
    [("2026-03-28T12:00", "does not exist in"), ("2026-10-24T12:00", "occurs twice in")],
)
def test_a_time_of_day_that_the_clocks_show_twice_or_never_is_refused(now, said):
    with pytest.raises(UsageError, match=said):
        parse_instant("--at", "02:30", datetime.fromisoformat(now).replace(tzinfo=UTC), "Europe/Berlin")
