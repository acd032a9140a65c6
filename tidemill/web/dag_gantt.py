"""Draws the nodes of a DAG run over time as SVG: when each was ready, started and ended. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import htpy as h
import msgspec

from tidemill.output import visible
from tidemill.target import Row
from tidemill.web.pieces import brief, clock, run_url
from tidemill.web.scale import Scale, scale

WIDTH, LEFT, RIGHT = 920.0, 190.0, 14.0
LINE, BAR, TOP = 24.0, 13.0, 24.0
MOST_NODES = 120
"""The first nodes by their start; the table below has all."""
LONGEST_NAME = 24


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    node_id: str
    run_id: str
    state: str
    ready: datetime
    """When its dependencies let it start."""
    started: datetime | None
    end: datetime
    is_open: bool


def bars(nodes: Sequence[Row], now: datetime) -> list[Bar]:
    """The nodes that were queued, by the time at which they were ready."""
    found = [
        Bar(
            node_id=node["node_id"],
            run_id=node["run_id"],
            state=node["state"],
            ready=node["queued_at"],
            started=node["started_at"],
            end=max(node["finished_at"] or now, node["queued_at"]),
            is_open=node["finished_at"] is None,
        )
        for node in nodes
        if node["queued_at"] is not None
    ]
    return sorted(found, key=lambda bar: (bar.ready, bar.started or bar.end, bar.node_id))[:MOST_NODES]


def gantt(found: Sequence[Bar], critical: Collection[str], timezone: str, now: datetime) -> h.Node:
    """None: no node was queued yet."""
    busy = [(each.started, each.end) for each in found if each.started and each.started < each.end]
    axis = scale(busy, (each for bar in found for each in (bar.ready, bar.end)), WIDTH - LEFT - RIGHT)
    if axis is None:
        return None
    height = TOP + len(found) * LINE + 24
    return h.div(class_="scroll", tabindex="0", role="region", aria_label="Nodes over time")[
        h.svg(class_="timeline gantt", viewBox=f"0 0 {WIDTH:g} {height:g}", role="img", aria_label=summary(found))[
            _breaks(axis, height),
            (_line(row, each, axis, is_critical=each.node_id in critical) for row, each in enumerate(found)),
            _ends(axis, height, timezone, now),
        ]
    ]


def summary(found: Sequence[Bar]) -> str:
    """The chart in words, for those who do not see it."""
    return "; ".join(f"{visible(each.node_id)}: {_said(each)}" for each in found)


def _said(bar: Bar) -> str:
    waited = brief((bar.started or bar.end) - bar.ready)
    if bar.started is None:
        return f"waited {waited}, {bar.state.replace('_', ' ')}"
    return f"waited {waited}, ran {brief(bar.end - bar.started)}, {bar.state.replace('_', ' ')}"


def _line(row: int, bar: Bar, axis: Scale, *, is_critical: bool) -> h.Element:
    middle = TOP + row * LINE + LINE / 2
    name = visible(bar.node_id)
    shown = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    ready, began, end = (LEFT + axis.at(each) for each in (bar.ready, bar.started or bar.end, bar.end))
    css = f"t-process e-{bar.state}{' open' if bar.is_open else ''}{' critical' if is_critical else ''}"
    return h.a(href=run_url(bar.run_id))[
        h.title[f"{name}: {_said(bar)}"],
        h.text(class_="label critical" if is_critical else "label", x="0", y=f"{middle + 4:.1f}")[shown],
        _rect("t-queue", ready, began, middle, 3.0) if began - ready > 0.5 else None,
        _rect(css, began, end, middle, BAR) if bar.started else None,
    ]


def _rect(css: str, left: float, right: float, middle: float, tall: float) -> h.Element:
    return h.rect(
        class_=css,
        x=f"{left:.1f}",
        y=f"{middle - tall / 2:.1f}",
        width=f"{max(right - left, 1.5):.1f}",
        height=f"{tall:g}",
        rx="2",
    )


def _breaks(axis: Scale, height: float) -> Iterator[h.Node]:
    for each in axis.stretches:
        if each.is_compressed:
            left, middle = LEFT + each.left, LEFT + each.left + each.width / 2
            yield h.rect(
                class_="break",
                x=f"{left:.1f}",
                y=f"{TOP - 4:g}",
                width=f"{each.width:g}",
                height=f"{height - TOP - 18:g}",
            )
            yield h.text(class_="gap", x=f"{middle:.1f}", y="13", text_anchor="middle")[brief(each.length)]


def _ends(axis: Scale, height: float, timezone: str, now: datetime) -> h.Node:
    first, last, y = axis.stretches[0].begin, axis.stretches[-1].end, f"{height - 5:g}"
    return h.fragment[
        h.line(class_="axis", x1=f"{LEFT:g}", x2=f"{WIDTH - RIGHT:g}", y1=f"{height - 19:g}", y2=f"{height - 19:g}"),
        h.text(class_="tick", x=f"{LEFT:g}", y=y)[clock(first, timezone, now)],
        h.text(class_="tick", x=f"{WIDTH - RIGHT:g}", y=y, text_anchor="end")[clock(last, timezone, now)],
    ]
