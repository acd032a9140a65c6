"""Says what went wrong in a seed: the one command that replays it, the shrunk plan, and the history around it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.simulation.shrink import shrink
from tests.simulation.simulation import Outcome, simulate

MOST_SENTENCES, MOST_LINES = 5, 120
RUN_ID = re.compile(r"\b([a-z][\w-]*)[@#]")


def report(outcome: Outcome) -> str:
    """A text for people; it plays the seed again, with ever fewer acts."""
    seed, invariant = outcome.plan.seed, next(iter(outcome.violations))
    plan = shrink(outcome.plan, invariant)
    again = simulate(plan, with_trace=True)
    sentences = again.violations.get(invariant) or outcome.violations[invariant]
    lines = list(_history(again, sentences))
    return "\n".join(
        [
            f"Seed {seed} violates: {', '.join(outcome.violations)}",
            f"Replay it with: make simulate SEED={seed}",
            "",
            f"Shrunk to {len(plan.acts)} of {len(outcome.plan.acts)} acts, {invariant!r} is still violated:",
            *(f"  {each}" for each in sentences[:MOST_SENTENCES]),
            "",
            f"The deployment: {plan.size}",
            "The acts:",
            *(f"  {each}" for each in plan.acts),
            "",
            "The history (seconds, who, what):",
            *lines[:MOST_LINES],
            *([f"  ... and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []),
        ]
    )


def _history(outcome: Outcome, sentences: list[str]) -> Iterator[str]:
    """Lines about the owners in the violation, and those about no single job."""
    wanted = {found for each in sentences[:MOST_SENTENCES] for found in RUN_ID.findall(each)}
    for at, thing, what in outcome.trace:
        named = set(RUN_ID.findall(what))
        if not named or not wanted or named & wanted:
            yield f"  {at:9.3f}  {thing}: {what}"
