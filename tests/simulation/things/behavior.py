"""What the program of an attempt does: how long it runs, how it ends, and how it answers TERM."""

from __future__ import annotations

import random

import msgspec

from schemas.dispatch import Dispatch

SECONDS = {"short": (0.1, 5.0), "medium": (5.0, 40.0), "long": (40.0, 110.0), "longest": (90.0, 115.0)}
"""By the first argument of a job: between which its processes run, in seconds."""


class Behavior(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float
    exit_code: int
    ends_after_term: float | None
    """None: it ignores TERM."""
    code_after_term: int


def behavior_of(seed: int, dispatch: Dispatch) -> Behavior:
    """The same for one attempt in each run of a seed, whatever happens around it."""
    dice = random.Random(f"{seed}/{dispatch.run_id}/{dispatch.attempt}")
    kind = dispatch.args[0] if dispatch.args else "short"
    seconds = dice.uniform(*SECONDS[kind])
    return Behavior(
        seconds=seconds,
        exit_code=0 if dice.random() < 0.85 else dice.choice((1, 1, 7)),
        ends_after_term=None if dice.random() < 0.2 else dice.uniform(0.05, 6),
        code_after_term=dice.choice((0, 143)),
    )
