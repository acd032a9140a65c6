"""The audit's own calendar against the streams': both must find the same occurrences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streams.core.schedule.occurrences import DstRules, InvalidScheduleError, occurrences, parse_schedule
from tests.unit.core.schedule.test_oracles import changes, five_fields, rules, seconds, zones
from tidemill.audit import calendar
from tidemill.audit.calendar import Terms

MOST = 2_000


def both(text, zone, dst, after, until, starts_at=None):
    try:
        schedule = parse_schedule(text)
    except InvalidScheduleError:
        assume(condition=False)
    terms = Terms(text, zone, dst.gap, dst.fold, starts_at)
    streams = occurrences(schedule, zone, dst, after, until, MOST, starts_at)
    audited = []
    for each in calendar.occurrences(terms, after, until):
        audited.append(each)
        if len(audited) == MOST:
            break
    return audited, streams


@settings(max_examples=150, deadline=None)
@given(second=seconds, fields=five_fields, zone=zones, change=st.integers(0, 200), dst=rules)
def test_around_a_clock_change_the_audit_finds_what_the_streams_find(second, fields, zone, change, dst):
    moments = changes(zone) or [datetime(2026, 1, 1, tzinfo=UTC)]
    moment = moments[change % len(moments)]
    audited, streams = both(second + fields, zone, dst, moment - timedelta(hours=60), moment + timedelta(hours=60))
    assert audited == streams


@settings(max_examples=60, deadline=None)
@given(fields=five_fields, zone=zones, dst=rules, day=st.integers(0, 9000))
def test_over_forty_days_the_audit_finds_what_the_streams_find(fields, zone, dst, day):
    begin = datetime(2005, 1, 1, 7, 13, tzinfo=UTC) + timedelta(days=day)
    audited, streams = both(fields, zone, dst, begin, begin + timedelta(days=40))
    assert audited == streams


@pytest.mark.parametrize(
    "text", ["@every 90s", "@every 1h30m", "@every 1.5s", "@daily", "@at 2026-03-01T00:10:00+01:00"]
)
@pytest.mark.parametrize("starts_at", [None, datetime(2026, 2, 28, 23, 7, tzinfo=UTC)])
def test_other_schedules_are_found_too(text, starts_at):
    begin = datetime(2026, 2, 28, 22, 1, 1, tzinfo=UTC)
    audited, streams = both(text, "UTC", DstRules(), begin, begin + timedelta(hours=3), starts_at)
    streams = [each for each in streams if not starts_at or each >= starts_at]
    assert audited == streams
    assert audited


def test_an_end_excludes_its_own_instant():
    end = datetime(2026, 1, 1, 0, 2, tzinfo=UTC)
    found = calendar.occurrences(Terms("* * * * *", ends_at=end), end - timedelta(minutes=2), end + timedelta(days=1))
    assert list(found) == [end - timedelta(minutes=1)]
