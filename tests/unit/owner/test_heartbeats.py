"""Which executors' heartbeats a new owner receives."""

from __future__ import annotations

from datetime import timedelta

from streams.core.inputs import HeartbeatHeard
from streams.owner.known_heartbeats import KEEP_FOR, without_silent
from tests.support.simulated.log import START
from tests.support.simulated.scenario import Scenario


def heard(after: timedelta) -> HeartbeatHeard:
    return HeartbeatHeard(heartbeat=Scenario.heartbeat(START, 1), appended_at=START + after)


def test_a_silent_executor_is_forgotten_when_others_report_long_after_it():
    now = KEEP_FOR + timedelta(seconds=1)
    latest = {"dead": heard(timedelta(0)), "slow": heard(timedelta(seconds=1)), "alive": heard(now)}
    assert without_silent(latest).keys() == {"slow", "alive"}


def test_no_executor_is_forgotten_while_all_are_silent():
    assert without_silent({}) == {}
    assert without_silent({"only": heard(timedelta(0))}).keys() == {"only"}
