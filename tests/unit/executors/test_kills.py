"""Which kills are remembered, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from executors import kills
from executors.kills import Kills
from schemas.control import Kill

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def kill(token):
    return Kill(run_id="a@1", token=token, grace=SECOND, valid_for=60 * SECOND)


@pytest.fixture
def known():
    return Kills()


def test_a_kill_is_remembered_for_its_attempt_alone(known):
    known.remember(kill(7), NOW + SECOND, NOW)
    assert known.has("a@1", 7)
    assert not known.has("a@1", 8)
    assert not known.has("a@2", 7)


def test_kills_of_ended_attempts_are_forgotten(known):
    known.remember(kill(1), NOW - SECOND, NOW)
    assert len(known) == 0
    known.remember(kill(2), NOW + SECOND, NOW)
    known.remember(kill(3), NOW + 9 * SECOND, NOW + 2 * SECOND)
    assert [known.has("a@1", token) for token in (2, 3)] == [False, True]


def test_a_repeated_kill_is_remembered_longer(known):
    known.remember(kill(1), NOW + SECOND, NOW)
    known.remember(kill(2), NOW + 3 * SECOND, NOW)
    known.remember(kill(1), NOW + 4 * SECOND, NOW)
    known.remember(kill(3), NOW + 9 * SECOND, NOW + 3 * SECOND)
    assert [known.has("a@1", token) for token in (1, 2, 3)] == [True, False, True]


def test_beyond_the_limit_the_oldest_kill_is_forgotten(known, monkeypatch):
    monkeypatch.setattr(kills, "MAX_REMEMBERED", 2)
    for token in range(3):
        known.remember(kill(token), NOW + SECOND, NOW)
    assert [known.has("a@1", token) for token in range(3)] == [False, True, True]
