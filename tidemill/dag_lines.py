"""Prints a drawing of a DAG as lines of a terminal, with columns of values beside each node."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from tidemill.dag_drawing import LANES, PLAIN_LANES, Drawing, draw
from tidemill.output import STATE_STYLES, console, on_one_line, say, words
from tidemill.target import Row

GAP = "  "
MAX_NAMED = 5
"""The most nodes that a line names; there may be thousands."""
TROUBLE = ("failed", "timed_out", "dead", "cancelled", "upstream_failed")
"""A collapsed level names its nodes in these states, the worst state first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    lanes: str
    critical: str
    started: str
    waiting: str
    arrow: str


FINE = Glyphs(lanes=LANES, critical="◆", started="●", waiting="○", arrow=" → ")
PLAIN = Glyphs(lanes=PLAIN_LANES, critical="*", started="o", waiting=".", arrow=" -> ")


def glyphs() -> Glyphs:
    """Plain ASCII in a pipe, with NO_COLOR, or on a terminal without UTF-8."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return FINE if sys.stdout.isatty() and utf8 and "NO_COLOR" not in os.environ else PLAIN


def show_drawing(nodes: Sequence[Row], columns: Sequence[str], critical: Collection[str] = (), *, every: bool) -> bool:
    """Print the drawing; false if it is too wide."""
    drawing = draw(nodes, group, every=every)
    if drawing is None:
        return False
    screen = console()
    for line in lines(drawing, columns, set(critical), glyphs()):
        screen.print(line, no_wrap=True, overflow="ellipsis")
    if len(drawing.nodes) < len(nodes):
        say(f"Levels with many of the {len(nodes):,} nodes are only counted; --all shows each node.")
    return True


def lines(drawing: Drawing, columns: Sequence[str], critical: Collection[str], look: Glyphs) -> Iterator[Text]:
    """Leaves out a column without values."""
    said = {
        name: {each: on_one_line(words(node.get(each))) for each in columns} for name, node in drawing.nodes.items()
    }
    told = [each for each in columns if any(node[each] for node in said.values())]
    drawn = []
    for strip in drawing.strips:
        mark = _mark(drawing.nodes[strip.node_id], critical, look) if strip.node_id else ""
        drawn.append((f"{strip.text(look.lanes, mark)} {strip.node_id or ''}".rstrip(), strip.node_id))
    wide = max(len(text) for text, _ in drawn)
    widths = {each: max(len(each), *(len(node[each]) for node in said.values())) for each in told}
    yield Text(GAP.join([" " * wide, *(each.ljust(widths[each]) for each in told)]).rstrip(), style="bold")
    for text, name in drawn:
        line = Text(text, style="bold" if name and _is_critical(drawing.nodes[name], critical) else "")
        if name:
            line.pad_right(wide - len(text))
            for each in told:
                value = said[name][each]
                line.append(GAP).append(value.ljust(widths[each]), STATE_STYLES.get(value, ""))
        line.rstrip()
        yield line


def group(name: str, members: list[Row]) -> Row:
    """Collapse many nodes into one row: the number in each state, the longest times, the names of failed nodes."""
    named: dict[str, list[str]] = {}
    for node in members:
        named.setdefault(node.get("state") or "", []).append(node["node_id"])
    return {
        "node_id": name,
        "members": {node["node_id"] for node in members},
        "state": ", ".join(f"{len(names)} {state}" for state, names in sorted(named.items()) if state) or None,
        "started": any(node.get("started") for node in members),
        "waited": _longest(members, "waited"),
        "duration": _longest(members, "duration"),
        "reason": "; ".join(f"{state}: {some(named[state])}" for state in TROUBLE if state in named) or None,
    }


def some(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _longest(members: list[Row], column: str) -> Any:
    known = [node[column] for node in members if node.get(column) is not None]
    return f"up to {words(max(known))}" if known else None


def _mark(node: Row, critical: Collection[str], look: Glyphs) -> str:
    if _is_critical(node, critical):
        return look.critical
    return look.started if node.get("started") else look.waiting


def _is_critical(node: Row, critical: Collection[str]) -> bool:
    members: set[str] = node.get("members") or {node["node_id"]}
    return not members.isdisjoint(critical)
