"""A rate limiter spaces turns, except a burst after a quiet time."""

from __future__ import annotations

from streams.rate_limiter import RateLimiter


def turns(limiter: RateLimiter, *, asked_at: list[float], period: float) -> list[float]:
    """When each turn starts, if it takes no time."""
    started = []
    for asked in asked_at:
        started.append(max(asked, limiter.next_turn_seconds, started[-1] if started else 0.0))
        limiter.note_turn(started[-1], period)
    return started


def test_rare_turns_never_wait() -> None:
    assert turns(RateLimiter(1), asked_at=[10, 13, 16], period=3) == [10, 13, 16]


def test_the_first_turns_after_a_quiet_time_do_not_wait() -> None:
    assert turns(RateLimiter(3), asked_at=[10, 10, 10, 100, 101], period=3) == [10, 10, 10, 100, 101]


def test_on_average_a_turn_takes_its_period() -> None:
    assert turns(RateLimiter(2), asked_at=[10] * 6, period=3) == [10, 10, 13, 16, 19, 22]
    assert turns(RateLimiter(1), asked_at=[10] * 4, period=3) == [10, 13, 16, 19]
