"""Cluster time follows a majority of clocks: never ahead of it, never back, and never one clock alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cluster_clock import AGREE_SECONDS, CONFIRM_SECONDS, ClockState, ClusterClock, Round, Span, span_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSET = 1_000_000.0
"""The right time minus the boot clock, in seconds."""
HOUR = 3600.0
TOOK = 0.01
RIGHT, STOPPED = 0.0, None


class Clocks:
    """Brokers, a host and a boot clock, with the error of each clock in seconds."""

    def __init__(self, *brokers, host=RIGHT):
        self.brokers, self.host, self.boot = dict(enumerate(brokers, 1)), host, 100.0
        self.clock = ClusterClock()

    def round(self, seconds=1.0):
        self.boot += seconds
        answers = {
            number: Span(OFFSET + ahead - TOOK, OFFSET + ahead)
            for number, ahead in self.brokers.items()
            if ahead is not STOPPED
        }
        self.clock.hear(Round(at=self.boot, asked=len(self.brokers), answers=answers, host=OFFSET + self.host))
        return self.state

    def rounds(self, seconds):
        return [self.round() for _ in range(int(seconds))][-1]

    def acknowledge(self, broker):
        """Passes an acknowledgement of this broker to the clock."""
        self.boot += TOOK
        self.clock.observe(Span(OFFSET + self.brokers[broker] - TOOK, OFFSET + self.brokers[broker]))
        return self.state

    @property
    def state(self):
        return self.clock.state(self.boot)

    @property
    def ahead(self):
        """Cluster time minus the right time, in whole seconds."""
        return round((self.clock.now(self.boot) - EPOCH).total_seconds() - self.boot - OFFSET)


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.001, 0.5), st.floats(0, 1)), min_size=1, max_size=40))
def test_cluster_time_is_never_ahead_of_the_brokers_and_never_goes_back(observations) -> None:
    clocks = Clocks(RIGHT)
    clocks.round()
    clock, boot, last = clocks.clock, clocks.boot, 0.0
    for pause, took, append_at in observations:
        sent = boot + pause
        boot = sent + took
        appended = sent + took * append_at + OFFSET
        clock.observe(span_of(sent=sent, acknowledged=boot, appended_ms=int(appended * 1000)))
        now = (clock.now(boot) - EPOCH) / timedelta(seconds=1)
        assert last <= now <= boot + OFFSET + 1e-5
        last = now


def test_at_the_start_one_broker_that_agrees_with_the_host_is_trusted_at_once():
    clocks = Clocks(RIGHT)
    assert clocks.state is ClockState.UNKNOWN
    assert clocks.round() is ClockState.STEADY
    assert clocks.ahead == 0


def test_at_the_start_an_acknowledgement_alone_is_not_trusted():
    clocks = Clocks(HOUR)
    assert clocks.acknowledge(1) is ClockState.UNKNOWN


def test_at_the_start_a_single_broker_that_contradicts_the_host_is_never_trusted():
    clocks = Clocks(HOUR)
    assert clocks.rounds(10 * CONFIRM_SECONDS) is ClockState.UNKNOWN
    clocks.brokers[1] = RIGHT
    assert clocks.round() is ClockState.STEADY
    assert clocks.ahead == 0


@pytest.mark.parametrize("host", [RIGHT, HOUR, -HOUR])
def test_at_the_start_one_wrong_broker_of_three_is_outvoted_whatever_the_host_says(host):
    clocks = Clocks(HOUR, RIGHT, RIGHT, host=host)
    assert clocks.round() is ClockState.STEADY
    assert clocks.ahead == 0
    assert clocks.clock.wrong_brokers() == {1}


def test_the_host_decides_between_two_brokers():
    clocks = Clocks(HOUR, RIGHT)
    assert clocks.round() is ClockState.STEADY
    assert clocks.ahead == 0


def test_two_brokers_that_agree_are_trusted_against_the_host():
    clocks = Clocks(RIGHT, RIGHT, host=-HOUR)
    assert clocks.round() is ClockState.STEADY
    assert clocks.ahead == 0


def test_the_time_is_unknown_while_two_of_three_brokers_do_not_answer():
    clocks = Clocks(RIGHT, STOPPED, STOPPED)
    assert clocks.round() is ClockState.UNKNOWN


def test_a_jump_of_a_single_broker_stops_the_clock_until_it_is_right_again():
    clocks = Clocks(RIGHT)
    clocks.round()
    clocks.brokers[1] = HOUR
    assert [clocks.acknowledge(1) for _ in range(3)] == [ClockState.JUMPED] * 3
    assert clocks.rounds(10 * CONFIRM_SECONDS) is ClockState.JUMPED
    assert clocks.ahead == 0
    clocks.brokers[1] = RIGHT
    assert clocks.round() is ClockState.STEADY
    assert clocks.ahead == 0


def test_a_jump_of_broker_and_host_together_is_trusted_after_ten_seconds():
    clocks = Clocks(RIGHT)
    clocks.round()
    clocks.brokers[1] = clocks.host = HOUR
    clocks.acknowledge(1)
    assert clocks.rounds(CONFIRM_SECONDS) is ClockState.JUMPED
    assert clocks.ahead == 0
    assert clocks.round() is ClockState.STEADY
    assert clocks.ahead == HOUR


def test_repeated_jumps_are_not_confirmed():
    clocks = Clocks(RIGHT)
    clocks.round()
    for second in range(int(4 * CONFIRM_SECONDS)):
        clocks.brokers[1] = clocks.host = HOUR + second * 2 * AGREE_SECONDS
        assert clocks.round() is ClockState.JUMPED


def test_a_majority_that_answers_again_after_silence_is_confirmed_again():
    clocks = Clocks(RIGHT)
    clocks.round()
    clocks.brokers[1] = clocks.host = HOUR
    clocks.rounds(CONFIRM_SECONDS / 2)
    clocks.brokers[1] = STOPPED
    clocks.rounds(CONFIRM_SECONDS)
    clocks.brokers[1] = HOUR
    assert clocks.rounds(CONFIRM_SECONDS) is ClockState.JUMPED
    assert clocks.round() is ClockState.STEADY


def test_one_broker_of_three_that_jumps_is_ignored_and_named():
    clocks = Clocks(RIGHT, RIGHT, RIGHT)
    clocks.round()
    clocks.brokers[2] = HOUR
    assert clocks.acknowledge(2) is ClockState.JUMPED
    assert clocks.round() is ClockState.STEADY
    assert clocks.clock.wrong_brokers() == {2}
    assert clocks.clock.differences()["broker 2"] == pytest.approx(HOUR, abs=0.1)
    assert [clocks.acknowledge(each) for each in (2, 1, 2, 3)] == [ClockState.STEADY] * 4
    assert clocks.ahead == 0


def test_a_wrong_broker_outside_the_rounds_causes_one_doubt_and_is_then_ignored():
    """The broker leads partitions that owners write, and none of the topic that the rounds ask."""
    clocks = Clocks(RIGHT, RIGHT, RIGHT)
    clocks.round()
    unasked = Span(OFFSET + HOUR - TOOK, OFFSET + HOUR)
    states = []
    for _ in range(3):
        clocks.clock.observe(unasked)
        states.append(clocks.state)
        clocks.round()
    assert states == [ClockState.JUMPED, ClockState.STEADY, ClockState.STEADY]


def test_an_ignored_broker_that_jumps_again_is_checked_again():
    clocks = Clocks(RIGHT, RIGHT, HOUR)
    clocks.round()
    clocks.brokers[3] = -HOUR
    assert clocks.acknowledge(3) is ClockState.JUMPED
    assert clocks.round() is ClockState.STEADY


def test_a_jump_of_the_host_alone_changes_nothing():
    clocks = Clocks(RIGHT)
    clocks.round()
    clocks.host = HOUR
    assert clocks.round() is ClockState.STEADY
    assert clocks.ahead == 0


def test_while_one_broker_of_two_is_down_the_other_stays_trusted():
    clocks = Clocks(RIGHT, RIGHT, host=HOUR)
    clocks.round()
    clocks.brokers[2] = STOPPED
    assert clocks.round() is ClockState.STEADY


def test_a_trusted_wrong_time_stops_after_its_correction_and_reports_it():
    clocks = Clocks(HOUR, host=HOUR)
    clocks.round()
    assert clocks.ahead == HOUR
    clocks.brokers[1] = clocks.host = RIGHT
    before = clocks.clock.now(clocks.boot)
    assert clocks.rounds(CONFIRM_SECONDS + 1) is ClockState.AHEAD
    assert clocks.clock.now(clocks.boot) - before < timedelta(seconds=CONFIRM_SECONDS + 2)
    stood = clocks.clock.now(clocks.boot)
    assert clocks.rounds(60) is ClockState.AHEAD
    assert clocks.clock.now(clocks.boot) == stood
    clocks.boot += HOUR
    assert clocks.round() is ClockState.STEADY


def test_a_process_started_after_the_correction_has_the_right_time_at_once():
    clocks = Clocks(HOUR, host=HOUR)
    clocks.round()
    clocks.brokers[1] = clocks.host = RIGHT
    clocks.clock = ClusterClock()
    assert clocks.round() is ClockState.STEADY
    assert clocks.ahead == 0
