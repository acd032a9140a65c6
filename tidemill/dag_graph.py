"""The graph of a DAG for display: its levels, the critical path of a run, and Graphviz output. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise

import orjson

from tidemill.target import Row

COLORS = {
    "succeeded": "palegreen",
    "running": "lightskyblue",
    "queued": "lightskyblue",
    "retry_wait": "khaki",
    "cancelling": "khaki",
    "skipped": "gray90",
    "cancelled": "gray80",
    "failed": "lightcoral",
    "timed_out": "lightcoral",
    "dead": "lightcoral",
    "upstream_failed": "mistyrose",
}
_NEVER = datetime.max.replace(tzinfo=UTC)


def levels(nodes: Iterable[Row]) -> dict[str, int]:
    """0 for a node without dependencies, otherwise 1 + its deepest dependency. `nodes` is in topological order."""
    found: dict[str, int] = {}
    for node in nodes:
        found[node["node_id"]] = 1 + max((found[needed] for needed in node["depends_on"]), default=-1)
    return found


def critical_path(nodes: Iterable[Row]) -> list[str]:
    """The path from a root to the node that ended last or is open, through each node's last dependency to end."""
    open_or_ended = {node["node_id"]: node for node in nodes if node["state"] is not None}
    path: list[str] = []
    candidates = list(open_or_ended)
    while candidates:
        last = max(candidates, key=lambda node_id: _end(open_or_ended[node_id]))
        path.append(last)
        # A dependency that ended after the node started did not delay it: some trigger rules do not wait for all.
        began_at = open_or_ended[last]["queued_at"] or _end(open_or_ended[last])
        needed = [each for each in open_or_ended[last]["depends_on"] if each in open_or_ended]
        candidates = [each for each in needed if _end(open_or_ended[each]) <= began_at]
    return path[::-1]


def dot(dag_id: str, nodes: Iterable[Row], critical: Iterable[str] = ()) -> str:
    """The graph in Graphviz's language."""
    path = list(critical)
    heavy = set(pairwise(path))
    lines = [
        f"digraph {_quoted(dag_id)} {{",
        '  rankdir=LR; node [shape=box, style="rounded,filled", fillcolor=white];',
    ]
    for node in nodes:
        name, state = node["node_id"], node.get("state")
        label = f"{name}\n{state}" if state else name
        lines.append(f"  {_quoted(name)} [label={_quoted(label)}, fillcolor={COLORS.get(state or '', 'white')}];")
        for needed in node["depends_on"]:
            style = " [penwidth=3]" if (needed, name) in heavy else ""
            lines.append(f"  {_quoted(needed)} -> {_quoted(name)}{style};")
    return "\n".join([*lines, "}"])


def _end(node: Row) -> datetime:
    end: datetime | None = node["finished_at"]
    return end or _NEVER


def _quoted(text: str) -> str:
    """Quote an id as JSON: ids have no control characters, and Graphviz reads JSON's other escapes."""
    return orjson.dumps(text).decode()
