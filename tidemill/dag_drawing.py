"""Draws a DAG as `git log --graph` draws commits: a line for each node, a lane for each edge. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tidemill.dag_graph import levels
from tidemill.target import Row

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
LANES = " │││─╯╮┤─╰╭├─┴┬┼"
PLAIN_LANES = " |||-+++-+++-++|"
"""The characters of a lane, indexed by its arms."""
MOST_LANES = 12
"""A wider drawing collapses wide levels."""
MOST_LANES_OF_ALL = 60
BESIDE = 3
"""A level of at most this many nodes is never collapsed at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One line: the arms of each lane, and the node in one of the lanes."""

    arms: Sequence[int]
    node_id: str | None = None
    lane: int = -1

    def text(self, lanes: str, mark: str) -> str:
        drawn = (
            (mark if lane == self.lane else lanes[arms]) + (lanes[LEFT] if arms & RIGHT else " ")
            for lane, arms in enumerate(self.arms)
        )
        return "".join(drawn).rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    strips: list[Strip]
    nodes: dict[str, Row]
    """Nodes or collapsed levels, by their ids in the strips."""


def draw(nodes: Sequence[Row], group: Callable[[str, list[Row]], Row], *, every: bool = False) -> Drawing | None:
    """Draw every node if that is narrow enough; otherwise `group` collapses wide levels, or None if `every`."""
    most = MOST_LANES_OF_ALL if every else MOST_LANES
    strips = _strips(nodes, most)
    if strips is None and every:
        return None
    if strips is None:
        nodes = collapsed(nodes, group, BESIDE)
        strips = _strips(nodes, most)
    if strips is None:
        nodes = _chain(collapsed(nodes, group, 1))
        strips = _strips(nodes, most)
    assert strips is not None, "a chain has one lane"
    return Drawing(strips=strips, nodes={node["node_id"]: node for node in nodes})


def collapsed(nodes: Sequence[Row], group: Callable[[str, list[Row]], Row], beside: int) -> list[Row]:
    """Replace a level of more than `beside` nodes with one node that has all their dependencies."""
    stands_for: dict[str, str] = {}
    made = []
    for level, members in by_level(nodes):
        if len(members) > beside:
            name = f"level {level}: {len(members):,} nodes"
            found = [group(name, members)]
            stands_for.update((each["node_id"], name) for each in members)
        else:
            found = members
            stands_for.update((each["node_id"], each["node_id"]) for each in members)
        made += found
    needs = {node["node_id"]: node["depends_on"] for node in nodes}
    above: dict[str, dict[str, None]] = {}
    for name, shown in stands_for.items():
        above.setdefault(shown, {}).update((stands_for[needed], None) for needed in needs[name])
    return [each | {"depends_on": list(above[each["node_id"]])} for each in made]


def by_level(nodes: Iterable[Row]) -> list[tuple[int, list[Row]]]:
    """Group the nodes by level; within a level, keep their order."""
    nodes = list(nodes)
    deep = levels(nodes)
    ordered = sorted(nodes, key=lambda node: deep[node["node_id"]])
    return [(level, list(each)) for level, each in groupby(ordered, key=lambda node: deep[node["node_id"]])]


def _chain(nodes: list[Row]) -> list[Row]:
    before = [[], *([node["node_id"]] for node in nodes)]
    return [node | {"depends_on": needed} for node, needed in zip(nodes, before, strict=False)]


def _strips(nodes: Sequence[Row], most: int) -> list[Strip] | None:
    """None: the drawing needs more than `most` lanes."""
    children: dict[str, list[str]] = {node["node_id"]: [] for node in nodes}
    for node in nodes:
        for needed in node["depends_on"]:
            children[needed].append(node["node_id"])
    return _walk(nodes, children, most, shared=False) or _walk(nodes, children, most, shared=True)


def _walk(nodes: Iterable[Row], children: Mapping[str, list[str]], most: int, *, shared: bool) -> list[Strip] | None:
    """`shared`: all edges to one node share a lane from their start."""
    lanes: list[str | None] = []
    strips: list[Strip] = []
    for _, members in by_level(nodes):
        first = {name: lane for lane, name in reversed(list(enumerate(lanes)))}
        for node in sorted(members, key=lambda node: first.get(node["node_id"], most)):
            name = node["node_id"]
            lane = _join(lanes, name, strips)
            strips.append(Strip(arms=_through(lanes), node_id=name, lane=lane))
            known = set(lanes) if shared else set()
            if sum(child not in known for child in children[name]) > most:
                return None
            _split(lanes, lane, children[name], strips, shared=shared)
            if any(len(strip.arms) > most for strip in strips[-3:]):
                return None
    return strips


def _join(lanes: list[str | None], name: str, strips: list[Strip]) -> int:
    """Join all edges to a node in the leftmost of their lanes."""
    found = [lane for lane, each in enumerate(lanes) if each == name] or [_free(lanes, 0)]
    lane, *others = found
    lanes[lane] = name
    if others:
        arms = _through(lanes)
        _bar(arms, found)
        for each in others:
            arms[each] &= ~DOWN
            lanes[each] = None
        strips.append(Strip(arms=arms))
        while lanes[-1] is None:
            lanes.pop()
    return lane


def _split(lanes: list[str | None], lane: int, children: list[str], strips: list[Strip], *, shared: bool) -> None:
    lanes[lane] = None
    arms = dict(enumerate(_through(lanes))) | {lane: UP}
    ends = [lane]
    for child in children:
        if shared and child in lanes:
            end = lanes.index(child)
        else:
            end = _free(lanes, lane)
            lanes[end] = child
            arms[end] = arms.get(end, 0) | DOWN
        ends.append(end)
    if set(ends) != {lane}:
        drawn = [arms[each] for each in range(len(lanes))]
        _bar(drawn, ends)
        strips.append(Strip(arms=drawn))
    while lanes and lanes[-1] is None:
        lanes.pop()


def _free(lanes: list[str | None], from_lane: int) -> int:
    for lane in range(from_lane, len(lanes)):
        if lanes[lane] is None:
            return lane
    lanes.append(None)
    return len(lanes) - 1


def _through(lanes: Iterable[str | None]) -> list[int]:
    return [UP | DOWN if each is not None else 0 for each in lanes]


def _bar(arms: list[int], ends: Iterable[int]) -> None:
    """Draw a horizontal bar from the leftmost end to the rightmost."""
    first, last = min(ends), max(ends)
    for lane in range(first, last):
        arms[lane] |= RIGHT
        arms[lane + 1] |= LEFT
