"""Windows: how many runs owners send ahead, depending on the use of each window (protocol D1)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executors.windows import AHEAD, AHEAD_TIME, MOST_AHEAD, Windows, no_windows, share, window_of


def sizes(found):
    return [(each.timeout_class, each.partition, each.size) for each in found]


EIGHT = range(8)


def idle(_):
    return Counter()


def test_windows_sum_to_twice_the_slots_of_a_class():
    found = Windows({"10s": 16, "1m": 4}).advertise({"10s": {2, 0, 1, 3}, "1m": {5}}, idle)
    assert sizes(found) == [("10s", 0, 8), ("10s", 1, 8), ("10s", 2, 8), ("10s", 3, 8), ("1m", 5, 8)]


def test_every_partition_that_is_held_has_a_window():
    found = Windows({"10s": 1}).advertise({"10s": {0, 1, 2}}, idle)
    assert sizes(found) == [("10s", 0, 1), ("10s", 1, 1), ("10s", 2, 1)]


@given(slots=st.integers(1, 200), used=st.dictionaries(st.integers(0, 63), st.integers(0, 200), min_size=1))
def test_windows_never_exceed_their_sum_and_each_keeps_one(slots, used):
    found = share(2 * slots, used)
    assert found.keys() == used.keys()
    assert min(found.values()) >= 1
    assert sum(found.values()) <= max(2 * slots, len(used))


def test_one_busy_partition_gets_all_slots_while_the_others_keep_a_quarter_of_their_share():
    in_hand, sizes = 0, share(32, dict.fromkeys(EIGHT, 0))
    assert set(sizes.values()) == {4}
    while in_hand < sizes[3] and in_hand < 16:  # as fast as its owner learns of it
        in_hand = min(sizes[3], 16)
        sizes = share(32, {each: in_hand if each == 3 else 0 for each in EIGHT})
    assert (in_hand, sizes) == (16, {each: 25 if each == 3 else 1 for each in EIGHT})


def test_a_partition_that_becomes_busy_later_gets_an_equal_share():
    used = {each: 16 if each == 3 else 0 for each in EIGHT}
    for _ in range(4):
        sizes = share(32, used)
        used |= {each: min(used[each], sizes[each]) if each == 3 else sizes[each] for each in (3, 5)}
    assert (sizes[3], sizes[5]) == (13, 13)


def test_a_window_that_is_used_up_is_widened_at_once_and_only_then():
    windows = Windows({"10s": 16})
    windows.advertise({"10s": EIGHT}, idle)
    assert not windows.note("10s", Counter({3: 3}), EIGHT)
    assert windows.note("10s", Counter({3: 4}), EIGHT)
    windows.advertise({"10s": EIGHT}, lambda _: Counter({3: 4}))
    assert not windows.note("10s", Counter({3: 4}), EIGHT)


def test_partitions_that_are_all_sometimes_busy_keep_equal_windows():
    """What counts is the most that each has used since the last heartbeat, and not the moment of this one."""
    windows = Windows({"10s": 16})
    windows.advertise({"10s": EIGHT}, idle)
    for partition in EIGHT:
        windows.note("10s", Counter({partition: 4}), EIGHT)
    found = windows.advertise({"10s": EIGHT}, lambda _: Counter({7: 4}))
    assert {size for _, _, size in sizes(found)} == {4}


def test_a_leaving_executor_reports_no_window_for_each_partition():
    assert sizes(no_windows({"10s": {1, 0}})) == [("10s", 0, 0), ("10s", 1, 0)]


def total(windows):
    return sum(size for _, _, size in sizes(windows.advertise({"10s": EIGHT}, idle)))


def after_runs(windows, seconds, count=100):
    for _ in range(count):
        windows.note_end("10s", seconds)
    return windows


def test_the_delay_of_a_busy_machine_does_not_shrink_windows():
    """Else it would be sent less at a time, which costs it more."""
    assert total(after_runs(Windows({"10s": 16}), 0)) == pytest.approx(window_of(16, 0.05), rel=0.05)


@pytest.mark.parametrize(
    ("hold_seconds", "ahead"),
    [(3600, AHEAD), (0.5, AHEAD), (0.1, 6), (0.05, 11), (0.001, MOST_AHEAD), (0.0, MOST_AHEAD)],
)
def test_beside_each_slot_waits_what_it_starts_soon_and_one_at_least(hold_seconds, ahead):
    assert window_of(10, hold_seconds) == 10 * ahead


@given(slots=st.integers(1, 200), hold=st.floats(0, 1e6))
def test_what_waits_beside_the_slots_is_started_within_the_time_ahead_or_is_one_for_each(slots, hold):
    waiting = window_of(slots, hold) - slots
    assert waiting == slots or waiting * hold / slots <= AHEAD_TIME.total_seconds() + 1e-6
    assert window_of(slots, hold) <= slots * MOST_AHEAD


def test_short_runs_open_the_windows_and_one_long_run_closes_them():
    windows = Windows({"10s": 16})
    assert total(windows) == 32
    assert total(after_runs(windows, 0.01, count=4)) > 50
    assert total(after_runs(windows, 0.01)) > 130
    assert total(after_runs(windows, 60, count=1)) == 32


def test_changed_windows_are_reported_at_once():
    windows = Windows({"10s": 16})
    windows.advertise({"10s": EIGHT}, idle)
    assert not windows.note("10s", Counter({3: 1}), EIGHT)
    after_runs(windows, 0.05)
    assert windows.note("10s", Counter({3: 1}), EIGHT)
    windows.advertise({"10s": EIGHT}, idle)
    assert not windows.note("10s", Counter({3: 1}), EIGHT)
    after_runs(windows, 60)
    assert windows.note("10s", Counter({3: 1}), EIGHT)


def test_one_slot_for_many_partitions_is_not_reported_forever():
    windows = Windows({"10s": 1})
    windows.advertise({"10s": EIGHT}, idle)
    assert not windows.note("10s", Counter(), EIGHT)
