"""Draws how long the last runs of a job took, with their median and 95th percentile. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil

import htpy as h

from tidemill.target import Row
from tidemill.web.bars import BAD
from tidemill.web.pieces import brief, clock, run_url

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FLOOR = 920.0, 190.0, 66.0, 64.0, 12.0, 24.0
WORDS = 13.0
"""The height of a line of words."""


def percentile(found: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(found)
    return ordered[max(ceil(share * len(ordered)), 1) - 1]


def durations(runs: Sequence[Row], limit: timedelta | None, timezone: str, now: datetime) -> h.Node:
    """`runs` the newest first, with `seconds` and `started_at`. None: fewer than two have ended."""
    ended = [each for each in reversed(runs) if each["finished_at"] is not None]
    if len(ended) < 2:
        return None
    seconds = [each["seconds"] for each in ended]
    top = max(seconds) * 1.08 or 1.0
    if limit is not None and limit.total_seconds() <= 2 * top:
        top = max(top, limit.total_seconds() * 1.08)
    begin, end = ended[0]["started_at"], ended[-1]["started_at"]
    lines = [("p50", percentile(seconds, 0.5)), ("p95", percentile(seconds, 0.95))]
    if limit is not None and limit.total_seconds() <= top:
        lines.append(("limit", limit.total_seconds()))
    return h.div(class_="scroll", tabindex="0", role="region", aria_label="Durations")[
        h.svg(
            class_="timeline durations", viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img", aria_label=_summary(seconds)
        )[
            (_line(*each, top) for each in _apart(lines, top)),
            (_point(each, top, begin, end) for each in ended),
            h.line(class_="axis", x1=f"{LEFT:g}", x2=f"{WIDTH - RIGHT:g}", y1=f"{_y(0, top):g}", y2=f"{_y(0, top):g}"),
            h.text(class_="tick", x=f"{LEFT:g}", y=f"{HEIGHT - 6:g}")[clock(begin, timezone, now)],
            h.text(class_="tick", x=f"{WIDTH - RIGHT:g}", y=f"{HEIGHT - 6:g}", text_anchor="end")[
                clock(end, timezone, now)
            ],
        ]
    ]


def _summary(seconds: Sequence[float]) -> str:
    half, most = (brief(timedelta(seconds=percentile(seconds, each))) for each in (0.5, 0.95))
    return f"The last {len(seconds)} runs: half took at most {half}, 95 % at most {most}."


def _y(seconds: float, top: float) -> float:
    return round(HEIGHT - FLOOR - (HEIGHT - FLOOR - TOP) * seconds / top, 1)


def _apart(lines: Sequence[tuple[str, float]], top: float) -> list[tuple[str, float, float]]:
    """Each line with the place of its words, which do not cover those of the line below."""
    placed: list[tuple[str, float, float]] = []
    for name, seconds in sorted(lines, key=lambda each: each[1]):
        free = placed[-1][2] - WORDS if placed else HEIGHT
        placed.append((name, seconds, min(_y(seconds, top) + 4, free)))
    return placed


def _line(name: str, seconds: float, words: float, top: float) -> h.Node:
    y = _y(seconds, top)
    return h.fragment[
        h.line(class_=f"level l-{name}", x1=f"{LEFT:g}", x2=f"{WIDTH - RIGHT:g}", y1=f"{y:g}", y2=f"{y:g}"),
        h.text(class_="tick", x=f"{LEFT - 6:g}", y=f"{words:g}", text_anchor="end")[
            brief(timedelta(seconds=round(seconds, 3)))
        ],
        h.text(class_="tick", x=f"{WIDTH - RIGHT + 6:g}", y=f"{words:g}")[name],
    ]


def _point(run: Row, top: float, begin: datetime, end: datetime) -> h.Element:
    share = (run["started_at"] - begin) / (end - begin) if end > begin else 0.5
    x, y, word = LEFT + share * (WIDTH - LEFT - RIGHT), _y(run["seconds"], top), run["state"]
    shape = (
        h.path(class_=f"mark s-{word}", d=f"M{x - 3:.1f} {y - 3:.1f}l6 6m0-6l-6 6")
        if word in BAD
        else h.circle(class_=f"dot b-{word}", cx=f"{x:.1f}", cy=f"{y:g}", r="2.6")
    )
    said = f"{run['run_id']}: {word.replace('_', ' ')}, {brief(timedelta(seconds=round(run['seconds'], 3)))}"
    return h.a(href=run_url(run["run_id"]), tabindex="-1")[h.title[said], shape]
