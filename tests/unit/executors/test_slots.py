"""Slots and their setting."""

from __future__ import annotations

import pytest

from executors.settings import InvalidSlotsError, parse_slots
from executors.slots import Slots


def test_without_a_setting_all_classes_are_served():
    assert parse_slots("", "1m,10s,24h") == {"10s": 32, "1m": 32, "24h": 32}


def test_a_class_that_is_not_named_is_not_served():
    assert parse_slots("1h=2, 10s=32", "10s,1m,1h") == {"10s": 32, "1h": 2}


@pytest.mark.parametrize("text", ["5m=1", "10s", "10s=0", "10s=-1", "10s=x"])
def test_a_wrong_setting_is_refused_with_a_sentence(text):
    with pytest.raises(InvalidSlotsError, match="TIDEMILL_SLOTS"):
        parse_slots(text, "10s,1m")


def test_slots_are_taken_and_given_back():
    slots = Slots({"10s": 2})
    slots.take("10s", 2)
    assert slots.free("10s") == 0
    slots.release("10s", 1)
    (report,) = slots.report()
    assert (report.total, report.free) == (2, 1)
