"""Executors and slots by class, from the rows of `tidemill status`."""

from __future__ import annotations

from tidemill.monitor.fleet import executors_of, slots_of


def executor(state="running", **classes):
    return {
        "state": state,
        "classes": {f"{name[1:]}": {"slots": slots, "free": free} for name, (slots, free) in classes.items()},
    }


ROWS = [
    executor(_1m=(4, 1), _1h=(2, 2)),
    executor(_1m=(4, 4)),
    executor("draining", _1m=(4, 4)),
    executor("silent", _1m=(1, 1)),
]


def test_only_executors_that_claim_count_and_a_class_without_one_has_0():
    assert executors_of(["1m", "1h", "24h"], ROWS) == {("1m",): 2, ("1h",): 1, ("24h",): 0}


def test_slots_are_busy_or_free():
    assert slots_of(["1m", "24h"], ROWS) == {
        ("1m", "free"): 5, ("1m", "busy"): 3, ("24h", "free"): 0, ("24h", "busy"): 0,
    }  # fmt: skip
