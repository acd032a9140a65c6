"""A maximum matching of a bipartite graph: each target gets a run of its own, for as many targets as possible. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def maximum(edges: Sequence[Sequence[int]]) -> list[int | None]:
    """For each left vertex its right vertex, or None. `edges` lists the right vertices of each left one.

    Augmenting paths (Kuhn), with a stack of its own: a path may be as long as there are targets.
    """
    left: list[int | None] = [None] * len(edges)
    right: dict[int, int] = {}
    for start in range(len(edges)):
        came_from = _search(edges, right, start)
        if came_from is None:
            continue
        vertex, by = came_from
        while vertex is not None:
            taker = by[vertex]
            given_up = left[taker]
            left[taker], right[vertex] = vertex, taker
            vertex = given_up
    return left


def _search(
    edges: Sequence[Sequence[int]], right: dict[int, int], start: int
) -> tuple[int | None, dict[int, int]] | None:
    """A free right vertex that an augmenting path from `start` reaches, and by which left vertex each was reached."""
    by: dict[int, int] = {}
    waiting = [start]
    while waiting:
        taker = waiting.pop()
        for vertex in edges[taker]:
            if vertex in by:
                continue
            by[vertex] = taker
            if vertex not in right:
                return vertex, by
            waiting.append(right[vertex])
    return None
