"""The small parts around an owner: who holds a partition, who is stuck, where a key goes."""

from __future__ import annotations

from itertools import product

import pytest

from schemas.ids import is_id
from schemas.partition import murmur2, partition_of
from streams.owner.phases import Outcome, Phase, next_phase


def test_a_holder_that_failed_asks_again_before_it_fences() -> None:
    phase = Phase.RUNNING
    walked = []
    outcomes = (Outcome.FAILED, Outcome.WAITED, Outcome.PREPARED, Outcome.HELD, Outcome.RECOVERED)
    for outcome in outcomes:
        phase = next_phase(phase, outcome)
        walked.append(phase)
    assert walked == [Phase.BACKING_OFF, Phase.PREPARING, Phase.CHECKING, Phase.RECOVERING, Phase.RUNNING]


def test_a_former_holder_does_not_fence() -> None:
    assert next_phase(Phase.CHECKING, Outcome.NOT_HELD) is Phase.GONE


@pytest.mark.parametrize("phase", list(Phase))
def test_being_unassigned_ends_every_phase(phase) -> None:
    assert next_phase(phase, Outcome.UNASSIGNED) is Phase.GONE


def test_recovery_starts_only_after_the_question() -> None:
    leads_to_recovery = set()
    for phase, outcome in product(Phase, Outcome):
        try:
            following = next_phase(phase, outcome)
        except KeyError:
            continue
        if following is Phase.RECOVERING:
            leads_to_recovery.add((phase, outcome))
    assert leads_to_recovery == {(Phase.CHECKING, Outcome.HELD)}


def test_keys_go_where_kafkas_own_partitioner_puts_them() -> None:
    # From org.apache.kafka.common.utils.UtilsTest.testMurmur2.
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"abc": 479470107}
    assert {key: murmur2(key) for key in known} == {key: value & 0xFFFFFFFF for key, value in known.items()}
    assert {partition_of(f"job-{n}", 8) for n in range(200)} == set(range(8))


@pytest.mark.parametrize("value", ["", "a@b", "a#b", "a/b", "a~b", "a\nb", "x" * 201, "a\u200bb"])
def test_an_invalid_id_is_refused(value) -> None:
    assert not is_id(value)


@pytest.mark.parametrize("value", ["a", "nightly report", "täglich", "x" * 200, "a.b-c_d:e"])
def test_a_valid_id_is_accepted(value) -> None:
    assert is_id(value)
