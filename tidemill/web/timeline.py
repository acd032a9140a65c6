"""The timeline of a run as SVG: a lane for each attempt, idle time compressed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import htpy as h

from tidemill.web.pieces import brief, clock
from tidemill.web.scale import Scale, Stretch, scale
from tidemill.web.spans import IDLE, Span, Work

WIDTH, LEFT, RIGHT = 920.0, 74.0, 14.0
LANE, BAR, TOP = 30.0, 16.0, 24.0
MOST_LANES = 12
"""The last attempts; the table below has all."""
WORDS: dict[Work, str] = {
    "queue": "in the queue",
    "retry": "waits for its next attempt",
    "claim": "waits for a slot",
    "fetch": "fetches its executable",
    "process": "process",
}


def timeline(found: Sequence[Span], timezone: str, now: datetime) -> h.Node:
    """Nothing for a run that never waited nor ran."""
    first = max((each.lane for each in found), default=0) - MOST_LANES + 1
    shown = [each for each in found if each.lane >= max(first, 0)]
    busy = [(each.begin, each.end) for each in shown if each.work not in IDLE]
    instants = [each for span in shown for each in (span.begin, span.end)]
    axis = scale(busy, instants, WIDTH - LEFT - RIGHT)
    if axis is None:
        return None
    lanes = sorted({each.lane for each in shown})
    height = TOP + len(lanes) * LANE + 22
    return h.div(class_="scroll", tabindex="0", role="region", aria_label="Timeline")[
        h.svg(class_="timeline", viewBox=f"0 0 {WIDTH:g} {height:g}", role="img", aria_label=summary(shown))[
            _breaks(axis, height),
            (_lane(lanes.index(each), each, shown, axis) for each in lanes),
            _ends(axis, height, timezone, now),
        ],
        _legend({each.work for each in shown}),
    ]


def summary(found: Sequence[Span]) -> str:
    """The timeline in words, for those who do not see it."""
    return "; ".join(f"attempt {each.lane + 1}: {_said(each)}" for each in found)


def _said(span: Span) -> str:
    ended = f", {span.outcome.replace('_', ' ')}" if span.outcome else ", not ended" if span.is_open else ""
    return f"{WORDS[span.work]} {brief(span.end - span.begin)}{ended}"


def _lane(row: int, lane: int, found: Sequence[Span], axis: Scale) -> h.Node:
    middle = TOP + row * LANE + LANE / 2
    mine = [each for each in found if each.lane == lane]
    return h.fragment[
        h.text(x="0", y=f"{middle + 4:.1f}", class_="label")[f"Attempt {lane + 1}"],
        (_bar(each, middle, axis) for each in mine),
    ]


def _bar(span: Span, middle: float, axis: Scale) -> h.Node:
    left, right = LEFT + axis.at(span.begin), LEFT + axis.at(span.end)
    tall = 4.0 if span.work in IDLE else BAR
    ended = f" e-{span.outcome}" if span.outcome else ""
    bar = h.rect(
        class_=f"t-{span.work}{ended}{' open' if span.is_open else ''}",
        x=f"{left:.1f}",
        y=f"{middle - tall / 2:.1f}",
        width=f"{max(right - left, 1.5):.1f}",
        height=f"{tall:g}",
        rx="2",
    )[h.title[_said(span)]]
    length = brief(span.end - span.begin)
    if span.work != "process" or right - left < 7 * len(length) + 8:
        return bar
    return h.fragment[bar, h.text(x=f"{left + 6:.1f}", y=f"{middle + 4:.1f}", class_="inside")[length]]


def _breaks(axis: Scale, height: float) -> Iterator[h.Node]:
    for each in axis.stretches:
        if each.is_compressed:
            yield _break(each, height)


def _break(stretch: Stretch, height: float) -> h.Node:
    left, middle = LEFT + stretch.left, LEFT + stretch.left + stretch.width / 2
    return h.fragment[
        h.rect(
            class_="break",
            x=f"{left:.1f}",
            y=f"{TOP - 4:g}",
            width=f"{stretch.width:g}",
            height=f"{height - TOP - 18:g}",
        ),
        h.text(class_="gap", x=f"{middle:.1f}", y="13", text_anchor="middle")[brief(stretch.length)],
    ]


def _ends(axis: Scale, height: float, timezone: str, now: datetime) -> h.Node:
    first, last = axis.stretches[0].begin, axis.stretches[-1].end
    return h.fragment[
        h.line(class_="axis", x1=f"{LEFT:g}", x2=f"{WIDTH - RIGHT:g}", y1=f"{height - 19:g}", y2=f"{height - 19:g}"),
        h.text(class_="tick", x=f"{LEFT:g}", y=f"{height - 5:g}")[clock(first, timezone, now)],
        h.text(class_="tick", x=f"{WIDTH - RIGHT:g}", y=f"{height - 5:g}", text_anchor="end")[
            clock(last, timezone, now)
        ],
    ]


def _legend(works: set[Work]) -> h.Element:
    return h.ul(class_="legend")[
        (
            h.li[h.svg(class_="key", viewBox="0 0 14 8", width="14", height="8", aria_hidden="true")[_key(work)], words]
            for work, words in WORDS.items()
            if work in works
        )
    ]


def _key(work: Work) -> h.Element:
    tall, y = ("3", "2.5") if work in IDLE else ("8", "0")
    return h.rect(class_=f"t-{work}", width="14", height=tall, y=y, rx="1.5")
