"""Turns that repeat rest between them, except the first ones after a quiet time."""

from __future__ import annotations

from streams.rest import Rest


def turns(rest: Rest, *, asked_at: list[float], period: float) -> list[float]:
    """When each turn begins, if it takes no time."""
    began = []
    for asked in asked_at:
        began.append(max(asked, rest.ends_at, began[-1] if began else 0.0))
        rest.took(began[-1], period)
    return began


def test_turns_that_are_rare_never_rest() -> None:
    assert turns(Rest(1), asked_at=[10, 13, 16], period=3) == [10, 13, 16]


def test_the_first_ones_after_a_quiet_time_have_no_rest_between_them() -> None:
    assert turns(Rest(3), asked_at=[10, 10, 10, 100, 101], period=3) == [10, 10, 10, 100, 101]


def test_in_the_long_run_a_turn_takes_its_period() -> None:
    assert turns(Rest(2), asked_at=[10] * 6, period=3) == [10, 10, 13, 16, 19, 22]
    assert turns(Rest(1), asked_at=[10] * 4, period=3) == [10, 13, 16, 19]
