"""Places the nodes of a DAG in levels, so that few edges cross and edges are nearly straight. Pure.

The method of Sugiyama, Tagawa and Toda (1981): a level for each node, a point in each level that a long edge crosses,
an order in each level by the mean of the neighbours' places, and then coordinates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

import msgspec

Point = tuple[float, float]
Place = tuple[int, str]
"""A level, and the node there; for an edge that crosses the level, a name that no node has."""

SWEEPS = 12
"""Orders change little after some sweeps over the levels, up and down."""
STRAIGHTEN = 9
"""Sweeps that move nodes; the last one goes down, from the roots."""
_DISTANCE = (1.0, 0.6, 0.35)
"""The least distance in a level between two nodes, between a node and an edge that passes it, and between two edges."""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    source: str
    target: str
    points: tuple[Point, ...]
    """From the source to the target; (level, place in it)."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    nodes: Mapping[str, Point]
    """(level, place in it), both from 0."""
    edges: tuple[Edge, ...]
    levels: int
    height: float
    """The greatest place."""


def place(levels: Mapping[str, int], depends_on: Mapping[str, Sequence[str]]) -> Layout:
    """`levels`: 0 for a node without dependencies, otherwise more than that of each dependency."""
    chains = {
        (source, target): [*_chain(source, target, levels)]
        for target, needed in depends_on.items()
        for source in needed
    }
    columns = _columns(levels, chains.values())
    above, below = _neighbours(chains.values())
    _order(columns, above, below)
    heights = _straighten(columns, above, below)
    return Layout(
        nodes={name: (level, heights[level, name]) for name, level in levels.items()},
        edges=tuple(
            Edge(source=source, target=target, points=tuple((at[0], heights[at]) for at in chain))
            for (source, target), chain in chains.items()
        ),
        levels=len(columns),
        height=max(heights.values(), default=0.0),
    )


def _chain(source: str, target: str, levels: Mapping[str, int]) -> Iterable[Place]:
    """The places of an edge; between its nodes, a point in each level."""
    first, last = levels[source], levels[target]
    yield first, source
    for level in range(first + 1, last):
        yield level, f"{source}\0{target}"
    yield last, target


def _columns(levels: Mapping[str, int], chains: Iterable[Sequence[Place]]) -> list[list[Place]]:
    columns: list[list[Place]] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for name, level in levels.items():
        columns[level].append((level, name))
    for chain in chains:
        for at in chain[1:-1]:
            columns[at[0]].append(at)
    return columns


def _neighbours(chains: Iterable[Sequence[Place]]) -> tuple[dict[Place, list[Place]], dict[Place, list[Place]]]:
    above: dict[Place, list[Place]] = {}
    below: dict[Place, list[Place]] = {}
    for chain in chains:
        for one, other in pairwise(chain):
            below.setdefault(one, []).append(other)
            above.setdefault(other, []).append(one)
    return above, below


def _order(
    columns: list[list[Place]], above: Mapping[Place, Sequence[Place]], below: Mapping[Place, Sequence[Place]]
) -> None:
    """Sort each level by the mean place of the neighbours in the level before, then after; keep the best order."""
    best, fewest = [list(each) for each in columns], crossings(columns, below)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for column in columns[1:] if down else reversed(columns[:-1]):
            _sort(column, above if down else below, _places(columns))
        found = crossings(columns, below)
        if found < fewest:
            best, fewest = [list(each) for each in columns], found
        if not fewest:
            break
    columns[:] = best


def _sort(column: list[Place], neighbours: Mapping[Place, Sequence[Place]], places: Mapping[Place, int]) -> None:
    """A place without neighbours keeps its own."""
    column.sort(key=lambda at: fmean([places[each] for each in neighbours.get(at, ())] or [places[at]]))


def _places(columns: Sequence[Sequence[Place]]) -> dict[Place, int]:
    return {at: index for column in columns for index, at in enumerate(column)}


def crossings(columns: Sequence[Sequence[Place]], below: Mapping[Place, Sequence[Place]]) -> int:
    """How many pairs of edges cross between neighbouring levels."""
    places, total = _places(columns), 0
    for column in columns:
        ends = [places[each] for at in column for each in sorted(below.get(at, ()), key=places.__getitem__)]
        total += sum(1 for i, one in enumerate(ends) for other in ends[i + 1 :] if other < one)
    return total


def _straighten(
    columns: Sequence[Sequence[Place]], above: Mapping[Place, Sequence[Place]], below: Mapping[Place, Sequence[Place]]
) -> dict[Place, float]:
    """Move each place towards the mean of its neighbours, apart from the next one in its level."""
    heights = {at: float(index) for column in columns for index, at in enumerate(column)}
    for turn in range(STRAIGHTEN):
        down = turn % 2 == 0
        for column in columns if down else reversed(columns):
            near = above if down else below
            wanted = [fmean([heights[each] for each in near.get(at, ())] or [heights[at]]) for at in column]
            heights.update(zip(column, _apart(column, wanted), strict=True))
    lowest = min(heights.values(), default=0.0)
    return {at: height - lowest for at, height in heights.items()}


def _apart(column: Sequence[Place], wanted: Sequence[float]) -> list[float]:
    """The heights nearest to those wanted, in this order, with the least distances between neighbours.

    Heights that would be too near form a block, which stands at the mean of what its members want (pool adjacent
    violators).
    """
    offsets = [0.0]
    for one, other in pairwise(column):
        offsets.append(offsets[-1] + _DISTANCE[_is_edge(one) + _is_edge(other)])
    blocks: list[list[float]] = []
    for each, offset in zip(wanted, offsets, strict=False):
        blocks.append([each - offset])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    bases = [fmean(block) for block in blocks for _ in block]
    return [base + offset for base, offset in zip(bases, offsets, strict=False)]


def _is_edge(at: Place) -> bool:
    return "\0" in at[1]
