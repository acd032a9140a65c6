"""Draws the last runs of a job as small bars: the height is the duration, the sign says how it ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import htpy as h

from tidemill.web.pieces import run_url

STEP, WIDTH, HEIGHT, LEAST = 8.0, 6.0, 22.0, 3.0
BAD = frozenset({"failed", "dead", "timed_out", "upstream_failed"})
"""States that get a notch as well as a color."""


def bars(runs: Sequence[Mapping[str, Any]], most: int) -> h.Node:
    """`runs` the newest first, with `run_id`, `state` and `seconds`; drawn with the newest on the right."""
    if not runs:
        return h.span(class_="note")["no run yet"]
    longest = max((each["seconds"] or 0.0 for each in runs), default=0.0) or 1.0
    shown = list(reversed(runs[:most]))
    width = most * STEP
    first = width - len(shown) * STEP
    return h.svg(class_="bars", viewBox=f"0 0 {width:g} {HEIGHT:g}", width=f"{width:g}", height=f"{HEIGHT:g}")[
        h.title[summary(runs)], (_bar(each, first + index * STEP, longest) for index, each in enumerate(shown))
    ]


def summary(runs: Sequence[Mapping[str, Any]]) -> str:
    """The bars in words."""
    counts: dict[str, int] = {}
    for each in runs:
        counts[each["state"]] = counts.get(each["state"], 0) + 1
    said = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in counts.items())
    return f"The last {len(runs)} runs: {said}"


def typical_seconds(runs: Sequence[Mapping[str, Any]]) -> float | None:
    """The median duration of the runs that succeeded; None: none did."""
    found = [each["seconds"] for each in runs if each["state"] == "succeeded" and each["seconds"] is not None]
    return median(found) if found else None


def _bar(run: Mapping[str, Any], x: float, longest: float) -> h.Node:
    tall = LEAST + (HEIGHT - LEAST) * min((run["seconds"] or 0.0) / longest, 1.0)
    word = run["state"]
    return h.a(href=run_url(run["run_id"]), tabindex="-1", aria_hidden="true")[
        h.rect(
            class_=f"b-{word}", x=f"{x:g}", y=f"{HEIGHT - tall:.1f}", width=f"{WIDTH:g}", height=f"{tall:.1f}", rx="1"
        ),
        h.path(class_="notch", d=f"M{x:g} {HEIGHT - 1.5:g}h{WIDTH:g}") if word in BAD else None,
    ]
