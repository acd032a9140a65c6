"""Which executors a new owner is told of."""

from __future__ import annotations

from datetime import timedelta

from streams.core.inputs import HeartbeatHeard
from streams.owner.roll import REMEMBERED, alive
from tests.support.simulated.log import START
from tests.support.simulated.scenario import Story


def heard(after: timedelta) -> HeartbeatHeard:
    return HeartbeatHeard(heartbeat=Story.heartbeat(START, 1), appended_at=START + after)


def test_executors_that_died_without_a_word_are_forgotten_as_of_what_others_say():
    now = REMEMBERED + timedelta(seconds=1)
    latest = {"dead": heard(timedelta(0)), "slow": heard(timedelta(seconds=1)), "alive": heard(now)}
    assert alive(latest).keys() == {"slow", "alive"}


def test_while_nobody_speaks_nobody_is_forgotten():
    assert alive({}) == {}
    assert alive({"only": heard(timedelta(0))}).keys() == {"only"}
