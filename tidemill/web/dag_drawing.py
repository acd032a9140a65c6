"""Draws a DAG as SVG: its nodes with sign and state, and the critical path of a run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import htpy as h

from tidemill.dag_graph import levels
from tidemill.output import visible
from tidemill.target import Row
from tidemill.web.dag_layout import Edge, Layout, Point, place
from tidemill.web.marks import SHAPES
from tidemill.web.pieces import run_url

BOX_WIDTH, BOX_HEIGHT = 156.0, 34.0
COLUMN, LINE = 210.0, 46.0
EDGE = 8.0
"""The space around the drawing."""
MOST_NODES = 250
"""A larger DAG is shown as a table only: its drawing is too large to read."""
LONGEST_NAME = 18
DEFINED = "defined"
"""The state of a node if no run is shown."""


def drawing(nodes: Sequence[Row], critical: Sequence[str] = ()) -> h.Node:
    """`nodes` in topological order, with `run_id` and `state` if a run is shown. None: it has too many nodes."""
    if not 0 < len(nodes) <= MOST_NODES:
        return None
    layout = place(levels(nodes), {node["node_id"]: node["depends_on"] for node in nodes})
    heavy = set(pairwise(critical))
    width = EDGE * 2 + (layout.levels - 1) * COLUMN + BOX_WIDTH
    height = EDGE * 2 + layout.height * LINE + BOX_HEIGHT
    return h.div(class_="scroll", tabindex="0", role="region", aria_label="Graph")[
        h.svg(
            class_="graph",
            viewBox=f"0 0 {width:g} {height:g}",
            width=f"{width:g}",
            height=f"{height:g}",
            role="img",
            aria_label=summary(nodes),
        )[
            (_edge(each, is_critical=(each.source, each.target) in heavy) for each in layout.edges),
            (_node(node, layout, is_critical=node["node_id"] in critical) for node in nodes),
        ]
    ]


def summary(nodes: Sequence[Row]) -> str:
    """The graph in words, for those who do not see it."""
    counts: dict[str, int] = {}
    for node in nodes:
        word = _state(node)
        counts[word] = counts.get(word, 0) + 1
    edges = sum(len(node["depends_on"]) for node in nodes)
    said = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in counts.items())
    return f"{len(nodes)} nodes and {edges} dependencies: {said}. The table below has each node."


def _state(node: Row) -> str:
    return str(node.get("state") or (DEFINED if "state" not in node else "waiting"))


def _at(point: Point) -> Point:
    """The left upper corner of a box."""
    return EDGE + point[0] * COLUMN, EDGE + point[1] * LINE


def _edge(edge: Edge, *, is_critical: bool) -> h.Element:
    return h.path(class_="edge critical" if is_critical else "edge", d=" ".join(_curve(edge)))


def _curve(edge: Edge) -> Iterator[str]:
    """From the right side of the source to the left side of the target, level through the points between."""
    corners = [_at(each) for each in edge.points]
    x, y = corners[0][0] + BOX_WIDTH, corners[0][1] + BOX_HEIGHT / 2
    yield f"M{x:g} {y:.1f}"
    for number, (left, top) in enumerate(corners[1:], 1):
        is_last = number == len(corners) - 1
        to_y, bend = top + BOX_HEIGHT / 2, (left - x) / 2
        yield f"C{x + bend:g} {y:.1f} {left - bend:g} {to_y:.1f} {left:g} {to_y:.1f}"
        x, y = left, to_y
        if not is_last:
            x = left + BOX_WIDTH
            yield f"H{x:g}"


def _node(node: Row, layout: Layout, *, is_critical: bool) -> h.Node:
    x, y = _at(layout.nodes[node["node_id"]])
    state = _state(node)
    name = visible(node["node_id"])
    shown = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    box = h.g(class_=f"node n-{state}{' critical' if is_critical else ''}", transform=f"translate({x:g} {y:.1f})")[
        h.title[f"{name}: {state.replace('_', ' ')}{_why(node)}"],
        h.rect(width=f"{BOX_WIDTH:g}", height=f"{BOX_HEIGHT:g}", rx="7"),
        _sign(state),
        h.text(x="28", y="22")[shown],
    ]
    return h.a(href=run_url(node["run_id"]))[box] if node.get("run_id") else box


def _why(node: Mapping[str, object]) -> str:
    return f", {visible(str(node['reason']))}" if node.get("reason") else ""


def _sign(state: str) -> h.Node:
    if state not in SHAPES:
        return h.circle(class_="s-skipped", cx="15", cy="17", r="3.2")
    return h.path(class_=f"mark s-{state}", transform="translate(9 11)", d=SHAPES[state])
