"""A DAG is drawn in levels: no node lies on another, and few edges cross."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.dag_graph import levels
from tidemill.web.dag_layout import place

DIAMOND = {"extract": [], "left": ["extract"], "right": ["extract"], "load": ["left", "right"]}
LADDER = {"a1": [], "b1": [], "b2": ["b1"], "a2": ["a1"], "a3": ["a2"], "b3": ["b2"]}
SKIPS = {"start": [], "middle": ["start"], "end": ["middle", "start"]}


def laid_out(graph):
    found = levels([{"node_id": name, "depends_on": needed} for name, needed in graph.items()])
    return place(found, graph)


def crossing(layout):
    """Pairs of straight pieces of edges that cross."""
    pieces = [pair for edge in layout.edges for pair in zip(edge.points, edge.points[1:], strict=False)]
    return [
        (one, other)
        for one, other in combinations(pieces, 2)
        if one[0][0] == other[0][0] and (one[0][1] - other[0][1]) * (one[1][1] - other[1][1]) < -1e-9
    ]


@pytest.mark.parametrize("graph", [DIAMOND, LADDER, SKIPS])
def test_a_graph_that_can_be_drawn_without_crossings_has_none(graph):
    assert crossing(laid_out(graph)) == []


def test_a_chain_is_straight():
    chain = {str(number): [str(number - 1)] if number else [] for number in range(10)}
    assert {height for _, height in laid_out(chain).nodes.values()} == {0.0}


def test_a_diamond_is_symmetric():
    nodes = laid_out(DIAMOND).nodes
    assert nodes["extract"][1] == nodes["load"][1] == (nodes["left"][1] + nodes["right"][1]) / 2


def test_an_edge_over_a_level_goes_around_the_node_there():
    layout = laid_out(SKIPS)
    (long,) = (edge for edge in layout.edges if (edge.source, edge.target) == ("start", "end"))
    (_, crossed, _) = long.points
    assert abs(crossed[1] - layout.nodes["middle"][1]) > 0.5


@st.composite
def graphs(draw):
    names = [f"n{number}" for number in range(draw(st.integers(0, 25)))]
    return {
        name: draw(st.lists(st.sampled_from(names[:index]), unique=True, max_size=3)) if index else []
        for index, name in enumerate(names)
    }


@given(graphs())
def test_no_node_lies_on_another_and_every_edge_goes_right(graph):
    layout = laid_out(graph)
    for one, other in combinations(layout.nodes.values(), 2):
        assert one[0] != other[0] or abs(one[1] - other[1]) >= 1 - 1e-9
    assert sorted((edge.source, edge.target) for edge in layout.edges) == sorted(
        (needed, name) for name, all_needed in graph.items() for needed in all_needed
    )
    for edge in layout.edges:
        assert edge.points[0] == layout.nodes[edge.source]
        assert edge.points[-1] == layout.nodes[edge.target]
        assert all(other[0] - one[0] == 1 for one, other in zip(edge.points, edge.points[1:], strict=False))
    assert all(0 <= height <= layout.height for _, height in layout.nodes.values())


def test_no_graph_is_no_drawing():
    layout = laid_out({})
    assert (layout.levels, layout.height) == (0, 0.0)
