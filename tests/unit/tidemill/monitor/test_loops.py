"""The loops of the monitor: a part that is away ends none of them, and a defect ends the process."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.stopping import Stop
from observe.health import Health
from tidemill.lag import BrokersError
from tidemill.monitor.judge import SinkPosition
from tidemill.monitor.loops import Loop, run

NO_TIME = timedelta(milliseconds=1)


def test_a_part_that_is_away_is_noted_and_the_next_round_asks_it_again():
    stop, seen = Stop(), []

    def ask():
        seen.append("asked")
        if seen.count("asked") < 3:
            raise BrokersError("no answer")
        stop.request()

    run([Loop(name="a", period=NO_TIME, round=ask, is_away=lambda: seen.append("away"))], Health(), stop)
    assert seen == ["asked", "away", "asked", "away", "asked"]


def test_a_defect_in_one_loop_stops_all_and_is_raised():
    stop, health = Stop(), Health()

    def fail():
        raise ZeroDivisionError

    others = Loop(name="other", period=timedelta(hours=1), round=lambda: None, is_away=lambda: None)
    with pytest.raises(ZeroDivisionError):
        run([Loop(name="a", period=NO_TIME, round=fail, is_away=lambda: None), others], health, stop)
    assert stop.requested
    assert health.why_not_ready == "it is stopping"


def test_a_loop_may_wait_before_its_first_round():
    stop, seen = Stop(), []
    stop.request()
    waits = Loop(name="a", period=NO_TIME, round=lambda: seen.append(1), is_away=lambda: None, waits_first=True)
    run([waits], Health(), stop)
    assert seen == []


def test_the_sink_counts_as_behind_by_the_time_since_it_was_measured():
    now = [100.0]
    sink = SinkPosition(lambda: now[0])
    assert sink.behind() is None
    sink.note(timedelta(seconds=3))
    now[0] = 110.0
    assert sink.behind() == timedelta(seconds=13)
    sink.note(timedelta(0))
    assert sink.behind() == timedelta(0)
