"""Waits until a condition holds, instead of sleeping for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable

POLL_SECONDS = 0.02


def eventually(fact: Callable[[], object], seconds: float = 30, what: object = "it") -> object:
    """Returns the first true result of `fact`; fails with the name `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = fact()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what() if callable(what) else what} did not happen within {seconds} s"
        time.sleep(POLL_SECONDS)
