"""Planned starts: counted from schedules, and drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.schedule.occurrences import occurrences, parse_schedule
from tidemill.time import Plan
from tidemill.web.heat import LEVELS, bars, heat_map, in_words, level
from tidemill.web.week import HOUR, HOURS, Group, week_of

NOW = datetime(2026, 11, 30, 12, 34, 56, tzinfo=UTC)
BEGIN = datetime(2026, 11, 30, 12, tzinfo=UTC)


def group(schedule, owners=1, timezone="UTC", example="j"):
    return Group(plan=Plan(schedule=parse_schedule(schedule), timezone=timezone), owners=owners, example=example)


@pytest.mark.parametrize(
    "schedule", ["0 3 * * *", "*/5 * * * *", "17 8-18 * * 1-5", "@every 7m", "* * * * *", "30 * * * *"]
)
@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
def test_the_numbers_are_those_of_the_occurrences(schedule, timezone):
    plan = group(schedule, timezone=timezone).plan
    week = week_of([group(schedule, 3, timezone)], NOW)
    tick = timedelta(microseconds=1)
    found = occurrences(plan.schedule, timezone, plan.dst, BEGIN - tick, BEGIN + HOURS * HOUR - tick, 20_000)
    expected = [0] * HOURS
    for each in found:
        expected[(each - BEGIN) // HOUR] += 3
    assert list(week.hours) == expected
    assert week.all == 3 * len(found)


def test_the_herd_is_the_share_of_minute_zero():
    week = week_of([group("0 * * * *", 9), group("7 * * * *", 1)], NOW)
    assert week.herd == pytest.approx(0.9)
    assert "90% of all are at minute :00" in in_words(week, "UTC")


def test_the_next_starts_are_in_order_and_one_instant_is_there_once():
    week = week_of([group("0 * * * *", 5, example="a"), group("*/30 * * * *", 2, example="b")], NOW)
    assert [(each.at.minute, each.example, each.others) for each in week.soon] == [(0, "a", 6), (30, "b", 1)]
    assert sum(week.next_hour) == 5 + 2 * 2


def test_every_cell_of_the_week_is_drawn_in_the_readers_zone():
    text = str(heat_map(week_of([group("0 3 * * *")], NOW), "Asia/Tokyo"))
    assert text.count("<rect") == HOURS
    assert "Tue 12:00: 1 start<" in text
    assert "Mon 21:00: 0 starts, now" in text
    assert "style=" not in text


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_starts_are_never_lighter(one, other, most):
    low, high = sorted((one, other))
    top = max(high, most, 1)
    assert 0 <= level(low, 1, top) <= level(high, 1, top) <= LEVELS


def test_a_week_without_starts_says_so():
    week = week_of([], NOW)
    assert "No start is planned" in in_words(week, "UTC")
    assert "0 starts" in str(bars(week.minutes, [""] * 60, "An hour"))
