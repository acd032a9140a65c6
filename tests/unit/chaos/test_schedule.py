"""A seed decides the faults of chaos, and never takes two of three brokers away at once."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from tests.chaos.schedule import LANES, alone, storm

SECONDS = 600


def test_one_seed_is_one_schedule():
    assert storm(7, SECONDS) == storm(7, SECONDS)
    assert storm(7, SECONDS) != storm(8, SECONDS)
    assert alone(7) == alone(7)


@pytest.mark.parametrize("seed", range(20))
def test_faults_of_one_lane_never_overlap_and_end_in_time(seed):
    faults = storm(seed, SECONDS)
    for lane in LANES:
        mine = [each for each in faults if each.lane == lane]
        assert all(first.at + first.seconds < second.at for first, second in pairwise(mine))
        assert all(each.at + each.seconds <= SECONDS for each in mine)


def test_every_fault_of_every_lane_happens():
    found = Counter((each.lane, each.kind) for seed in range(50) for each in storm(seed, SECONDS))
    assert found.keys() == {(lane, kind) for lane, choices in LANES.items() for _, kind, _, _ in choices}
