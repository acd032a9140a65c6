"""Cluster time: never ahead of the brokers' clock, never back, and no belief in jumps that are not confirmed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schemas.cluster_clock import CONFIRMATIONS, ClusterClock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSET = 1_000_000.0
"""Of the brokers' clock to the boot clock, in seconds."""


def observe(
    clock: ClusterClock, sent: float, took: float = 0.01, offset: float = OFFSET, append_at: float = 0.5
) -> None:
    appended = sent + took * append_at + offset
    clock.observe(sent=sent, acknowledged=sent + took, appended_ms=int(appended * 1000))


def seconds(instant: datetime) -> float:
    return (instant - EPOCH) / timedelta(seconds=1)


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.001, 0.5), st.floats(0, 1)), min_size=1, max_size=40))
def test_it_is_never_ahead_of_the_brokers_clock_and_never_goes_back(observations) -> None:
    clock, boot, last = ClusterClock(), 100.0, 0.0
    for pause, took, append_at in observations:
        boot += pause
        observe(clock, boot, took, append_at=append_at)
        boot += took
        now = seconds(clock.now(boot))
        assert last <= now <= boot + OFFSET + 1e-5
        last = now


def test_it_is_not_steady_before_the_first_observation() -> None:
    clock = ClusterClock()
    assert not clock.is_steady
    observe(clock, 1.0)
    assert clock.is_steady


def test_a_jump_stops_it_until_it_is_confirmed() -> None:
    clock = ClusterClock()
    observe(clock, 1.0)
    for number in range(CONFIRMATIONS):
        assert clock.is_steady is (number == 0)
        observe(clock, 2.0 + number, offset=OFFSET + 3600)
    assert clock.is_steady
    assert abs(seconds(clock.now(10.0)) - (10.0 + OFFSET + 3600)) < 0.1


def test_one_odd_observation_is_forgotten_only_when_the_old_offset_is_confirmed_again() -> None:
    clock = ClusterClock()
    observe(clock, 1.0)
    observe(clock, 2.0, offset=OFFSET - 3600)
    assert not clock.is_steady
    observe(clock, 3.0)
    assert clock.is_steady
    assert abs(seconds(clock.now(4.0)) - (4.0 + OFFSET)) < 0.1


def test_it_stands_still_rather_than_going_back() -> None:
    clock = ClusterClock()
    observe(clock, 1.0)
    before = clock.now(5.0)
    for number in range(CONFIRMATIONS):
        observe(clock, 6.0 + number, offset=OFFSET - 3600)
    assert clock.now(10.0) >= before
