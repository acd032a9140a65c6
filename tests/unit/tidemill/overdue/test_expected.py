"""Which occurrence must have a record, by the versions of a definition: each case that has none by right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schemas.times import EPOCH
from streams.core.schedule.occurrences import parse_schedule
from tidemill.overdue.expected import Version, in_force, last_expected
from tidemill.time import Plan

DAY = datetime(2026, 11, 21, tzinfo=UTC)
NEVER = None


def at(hour, minute=0, second=0):
    return DAY + timedelta(hours=hour, minutes=minute, seconds=second)


def plan(schedule, timezone="UTC", **others):
    return Plan(schedule=parse_schedule(schedule), timezone=timezone, **others)


THREE = plan("0 3 * * *")
HOURLY = plan("0 * * * *")
ONCE = plan("@at 2026-11-21T03:00:00Z")
OFF = None
"""Paused, deleted or without a schedule."""


def versions(*given):
    return [
        Version(owner="j", version=number, valid_from=valid_from, plan=each)
        for number, (valid_from, each) in enumerate(given)
    ]


CASES = {
    "a job that was there before its time": ([(at(1), THREE)], at(4), at(3)),
    "nothing is due yet": ([(at(1), THREE)], at(2, 59), NEVER),
    "its time is the time of the question": ([(at(1), THREE)], at(3), at(3)),
    "no version is kept": ([], at(4), NEVER),
    "a job that was written after its time": ([(at(3, 1), THREE)], at(4), NEVER),
    "a job whose transaction may have committed after its time": ([(at(2, 59, 30), THREE)], at(4), NEVER),
    "paused before its time": ([(at(1), THREE), (at(2), OFF)], at(4), NEVER),
    "paused or deleted after its time": ([(at(1), THREE), (at(3, 30), OFF)], at(4), NEVER),
    "resumed before its time": ([(at(1), OFF), (at(2), THREE)], at(4), at(3)),
    "resumed after its time": ([(at(1), OFF), (at(3, 30), THREE)], at(4), NEVER),
    "a short pause after its time": ([(at(1), THREE), (at(3, 10), OFF), (at(3, 20), THREE)], at(4), at(3)),
    "a short pause around its time": ([(at(1), THREE), (at(2, 59), OFF), (at(3, 1), THREE)], at(4), NEVER),
    "another column changed after its time": ([(at(1), THREE), (at(3, 1), THREE)], at(4), at(3)),
    "another column changed right before its time": ([(at(1), THREE), (at(2, 59, 59), THREE)], at(4), at(3)),
    "another schedule since": ([(at(1), THREE), (at(3, 30), HOURLY)], at(3, 45), at(3)),
    "another schedule, and its own time came": ([(at(1), THREE), (at(3, 30), HOURLY)], at(4), at(4)),
    "another schedule right after its time": ([(at(1), THREE), (at(3, 0, 2), plan("0 5 * * *"))], at(4), NEVER),
    "its end had come": ([(at(1), plan("0 3 * * *", ends_at=at(3)))], at(4), NEVER),
    "its start had not come": ([(at(1), plan("0 3 * * *", starts_at=at(3, 0, 1)))], at(4), NEVER),
    "its start is its time": ([(at(1), plan("0 3 * * *", starts_at=at(3)))], at(4), at(3)),
    "one instant": ([(at(1), ONCE)], at(4), at(3)),
    "one instant that was near when it was written": (
        [(at(2, 59, 50), ONCE)],
        at(4),
        at(3),
    ),
    "one instant that had passed when it was written": ([(at(3, 30), ONCE)], at(4), at(3)),
    "one passed instant, written just now": ([(at(3, 59), ONCE)], at(3, 58), NEVER),
    "one instant that is older than what is kept": ([(at(1), plan("@at 2026-11-20T03:00:00Z"))], at(4), NEVER),
}


@pytest.mark.parametrize("case", CASES)
def test_the_newest_occurrence_that_must_have_a_record(case):
    given, until, expected = CASES[case]
    assert last_expected(versions(*given), DAY, until) == expected


def test_an_occurrence_from_before_the_kept_weeks_needs_no_record():
    assert last_expected(versions((at(1), THREE)), at(3), at(4)) == at(3)
    assert last_expected(versions((at(1), THREE)), at(3, 0, 1), at(4)) is None


def test_an_occurrence_that_the_clock_change_leaves_out_is_expected_at_the_change_only_if_it_shifts():
    spring = datetime(2026, 3, 29, 1, tzinfo=UTC)
    berlin = versions((EPOCH, plan("30 2 * * *", "Europe/Berlin")))
    assert last_expected(berlin, EPOCH, spring + timedelta(minutes=5)) == spring
    skipping = plan("30 2 * * *", "Europe/Berlin", dst=type(THREE.dst)(gap="skip"))
    assert last_expected(versions((EPOCH, skipping)), EPOCH, spring + timedelta(hours=2)) == datetime(
        2026, 3, 28, 1, 30, tzinfo=UTC
    )


def test_an_occurrence_that_the_clock_shows_twice_is_expected_once():
    autumn = datetime(2026, 10, 25, tzinfo=UTC)
    berlin = versions((EPOCH, plan("30 2 * * *", "Europe/Berlin")))
    assert last_expected(berlin, EPOCH, autumn + timedelta(hours=5)) == autumn + timedelta(minutes=30)


def test_the_version_before_an_occurrence_decides_it():
    found = versions((at(1), THREE), (at(2), HOURLY))
    assert in_force(found, at(3)) is found[1]
    assert in_force(found, at(1, 30)) is found[0]
    assert in_force(found, at(0)) is found[0]
    assert in_force([], at(0)) is None
