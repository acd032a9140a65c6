"""Cluster time: what a majority of clocks says, never ahead of it, never back, and no belief in one clock alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cluster_clock import AGREE_SECONDS, CONFIRM_SECONDS, ClockState, ClusterClock, Round, Span, span_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSET = 1_000_000.0
"""Of the right time to the boot clock, in seconds."""
HOUR = 3600.0
TOOK = 0.01
RIGHT, STOPPED = 0.0, None


class World:
    """Brokers, a host and a boot clock; how far each clock is ahead of the right time, in seconds."""

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
        """Any record of a partition that this broker leads."""
        self.boot += TOOK
        self.clock.observe(Span(OFFSET + self.brokers[broker] - TOOK, OFFSET + self.brokers[broker]))
        return self.state

    @property
    def state(self):
        return self.clock.state(self.boot)

    @property
    def ahead(self):
        """How far cluster now is ahead of the right time, in whole seconds."""
        return round((self.clock.now(self.boot) - EPOCH).total_seconds() - self.boot - OFFSET)


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.001, 0.5), st.floats(0, 1)), min_size=1, max_size=40))
def test_it_is_never_ahead_of_the_brokers_clock_and_never_goes_back(observations) -> None:
    world = World(RIGHT)
    world.round()
    clock, boot, last = world.clock, world.boot, 0.0
    for pause, took, append_at in observations:
        sent = boot + pause
        boot = sent + took
        appended = sent + took * append_at + OFFSET
        clock.observe(span_of(sent=sent, acknowledged=boot, appended_ms=int(appended * 1000)))
        now = (clock.now(boot) - EPOCH) / timedelta(seconds=1)
        assert last <= now <= boot + OFFSET + 1e-5
        last = now


def test_at_its_start_one_broker_and_the_host_that_agree_are_believed_at_once():
    world = World(RIGHT)
    assert world.state is ClockState.UNKNOWN
    assert world.round() is ClockState.STEADY
    assert world.ahead == 0


def test_at_its_start_an_acknowledgement_alone_is_not_believed():
    world = World(HOUR)
    assert world.acknowledge(1) is ClockState.UNKNOWN


def test_at_its_start_a_single_broker_that_contradicts_the_host_is_not_believed_however_long_it_does():
    world = World(HOUR)
    assert world.rounds(10 * CONFIRM_SECONDS) is ClockState.UNKNOWN
    world.brokers[1] = RIGHT
    assert world.round() is ClockState.STEADY
    assert world.ahead == 0


@pytest.mark.parametrize("host", [RIGHT, HOUR, -HOUR])
def test_at_its_start_one_wrong_broker_of_three_is_outvoted_whatever_the_host_says(host):
    world = World(HOUR, RIGHT, RIGHT, host=host)
    assert world.round() is ClockState.STEADY
    assert world.ahead == 0
    assert world.clock.wrong_brokers() == {1}


def test_of_two_brokers_the_host_decides():
    world = World(HOUR, RIGHT)
    assert world.round() is ClockState.STEADY
    assert world.ahead == 0


def test_two_brokers_that_agree_are_believed_against_the_host():
    world = World(RIGHT, RIGHT, host=-HOUR)
    assert world.round() is ClockState.STEADY
    assert world.ahead == 0


def test_two_of_three_brokers_that_do_not_answer_leave_the_time_unknown():
    world = World(RIGHT, STOPPED, STOPPED)
    assert world.round() is ClockState.UNKNOWN


def test_a_single_broker_that_jumps_alone_stops_the_clock_until_it_is_right_again():
    world = World(RIGHT)
    world.round()
    world.brokers[1] = HOUR
    assert [world.acknowledge(1) for _ in range(3)] == [ClockState.JUMPED] * 3
    assert world.rounds(10 * CONFIRM_SECONDS) is ClockState.JUMPED
    assert world.ahead == 0
    world.brokers[1] = RIGHT
    assert world.round() is ClockState.STEADY
    assert world.ahead == 0


def test_a_jump_of_broker_and_host_together_is_believed_after_ten_seconds():
    world = World(RIGHT)
    world.round()
    world.brokers[1] = world.host = HOUR
    world.acknowledge(1)
    assert world.rounds(CONFIRM_SECONDS) is ClockState.JUMPED
    assert world.ahead == 0
    assert world.round() is ClockState.STEADY
    assert world.ahead == HOUR


def test_a_jump_that_goes_on_jumping_is_not_confirmed():
    world = World(RIGHT)
    world.round()
    for second in range(int(4 * CONFIRM_SECONDS)):
        world.brokers[1] = world.host = HOUR + second * 2 * AGREE_SECONDS
        assert world.round() is ClockState.JUMPED


def test_a_majority_that_answers_again_after_a_silence_is_confirmed_anew():
    world = World(RIGHT)
    world.round()
    world.brokers[1] = world.host = HOUR
    world.rounds(CONFIRM_SECONDS / 2)
    world.brokers[1] = STOPPED
    world.rounds(CONFIRM_SECONDS)
    world.brokers[1] = HOUR
    assert world.rounds(CONFIRM_SECONDS) is ClockState.JUMPED
    assert world.round() is ClockState.STEADY


def test_one_broker_of_three_that_jumps_is_ignored_and_named():
    world = World(RIGHT, RIGHT, RIGHT)
    world.round()
    world.brokers[2] = HOUR
    assert world.acknowledge(2) is ClockState.JUMPED
    assert world.round() is ClockState.STEADY
    assert world.clock.wrong_brokers() == {2}
    assert world.clock.differences()["broker 2"] == pytest.approx(HOUR, abs=0.1)
    assert [world.acknowledge(each) for each in (2, 1, 2, 3)] == [ClockState.STEADY] * 4
    assert world.ahead == 0


def test_a_wrong_broker_that_no_round_asks_raises_one_doubt_and_is_ignored_then():
    """It leads partitions that owners write, and none of the topic that is asked."""
    world = World(RIGHT, RIGHT, RIGHT)
    world.round()
    unasked = Span(OFFSET + HOUR - TOOK, OFFSET + HOUR)
    states = []
    for _ in range(3):
        world.clock.observe(unasked)
        states.append(world.state)
        world.round()
    assert states == [ClockState.JUMPED, ClockState.STEADY, ClockState.STEADY]


def test_an_ignored_broker_that_jumps_elsewhere_is_asked_for_again():
    world = World(RIGHT, RIGHT, HOUR)
    world.round()
    world.brokers[3] = -HOUR
    assert world.acknowledge(3) is ClockState.JUMPED
    assert world.round() is ClockState.STEADY


def test_a_host_that_jumps_alone_changes_nothing():
    world = World(RIGHT)
    world.round()
    world.host = HOUR
    assert world.round() is ClockState.STEADY
    assert world.ahead == 0


def test_while_one_broker_of_two_is_away_the_other_one_is_believed_as_before():
    world = World(RIGHT, RIGHT, host=HOUR)
    world.round()
    world.brokers[2] = STOPPED
    assert world.round() is ClockState.STEADY


def test_a_wrong_time_that_was_believed_stands_still_after_its_correction_and_says_so():
    world = World(HOUR, host=HOUR)
    world.round()
    assert world.ahead == HOUR
    world.brokers[1] = world.host = RIGHT
    before = world.clock.now(world.boot)
    assert world.rounds(CONFIRM_SECONDS + 1) is ClockState.AHEAD
    assert world.clock.now(world.boot) - before < timedelta(seconds=CONFIRM_SECONDS + 2)
    stood = world.clock.now(world.boot)
    assert world.rounds(60) is ClockState.AHEAD
    assert world.clock.now(world.boot) == stood
    world.boot += HOUR
    assert world.round() is ClockState.STEADY


def test_what_starts_after_the_correction_has_the_right_time_at_once():
    world = World(HOUR, host=HOUR)
    world.round()
    world.brokers[1] = world.host = RIGHT
    world.clock = ClusterClock()
    assert world.round() is ClockState.STEADY
    assert world.ahead == 0
