"""Waits for a fact, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK_AGAIN_SECONDS = 0.02


def eventually(fact: Callable[[], object], seconds: float = 30, what: object = "it") -> object:
    """The first true answer of `fact`; an assertion that names `what` when there was none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = fact()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what() if callable(what) else what} did not happen within {seconds} s"
        time.sleep(LOOK_AGAIN_SECONDS)
