"""The drawing of a DAG: one line per node with lanes for edges, or wide levels collapsed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.dag_drawing import LANES, MOST_LANES, PLAIN_LANES, collapsed, draw
from tidemill.dag_lines import PLAIN, group, lines

ETL = {"extract": "", "a": "extract", "b": "extract", "c": "extract", "load": "a b c", "report": "load"}
CROSSING = {"a": "", "x": "", "b": "a", "c": "a x", "d": "b c", "e": "x"}
WIDE = {"s": ""} | {f"m{n}": "s" for n in range(1000)} | {"t": " ".join(f"m{n}" for n in range(1000)), "u": "s t"}


def nodes_of(needs):
    return [{"node_id": name, "depends_on": needed.split()} for name, needed in needs.items()]


def drawn(needs, lanes=LANES, mark="●", *, every=False):
    drawing = draw(nodes_of(needs), group, every=every)
    return [f"{strip.text(lanes, mark)} {strip.node_id or ''}".rstrip() for strip in drawing.strips]


@pytest.mark.parametrize(
    ("needs", "picture"),
    [
        (ETL, "● extract|├─┬─╮|● │ │ a|│ ● │ b|│ │ ● c|├─┴─╯|● load|● report"),
        (CROSSING, "● a|├─╮|│ │ ● x|│ │ ├─╮|● │ │ │ b|│ ├─╯ │|│ ●   │ c|│ │   ● e|├─╯|● d"),
        ({"a": "", "b": ""}, "● a|● b"),
    ],
    ids=["etl", "crossing", "two that have nothing to do with each other"],
)
def test_a_dag_is_drawn_with_a_lane_for_each_edge(needs, picture):
    assert drawn(needs) == picture.split("|")


def test_plain_lanes_need_only_ascii():
    expected = ["o extract", "+-+-+", "o | | a", "| o | b", "| | o c", "+-+-+", "o load", "o report"]
    assert drawn(ETL, PLAIN_LANES, "o") == expected


def test_a_wide_level_is_one_node_unless_every_node_is_wanted():
    assert drawn(WIDE) == ["● s", "├─╮", "● │ level 1: 1,000 nodes", "● │ t", "├─╯", "● u"]
    assert draw(nodes_of(WIDE), group, every=True) is None
    twenty = {"s": ""} | {f"m{n}": "s" for n in range(20)}
    assert drawn(twenty) == ["● s", "● level 1: 20 nodes"]
    assert len(drawn(twenty, every=True)) == 22  # including the line where the lanes fork


def test_what_is_collapsed_keeps_its_edges():
    found = {each["node_id"]: each["depends_on"] for each in collapsed(nodes_of(ETL), group, 2)}
    level = "level 1: 3 nodes"
    assert found == {"extract": [], level: ["extract"], "load": [level], "report": ["load"]}


@given(st.lists(st.lists(st.integers(0, 60), max_size=4), min_size=1, max_size=60))
def test_any_graph_is_drawn_once_each_node_in_order_and_within_the_lanes(needs):
    graph = {f"n{n}": " ".join({f"n{each % n}" for each in found} if n else ()) for n, found in enumerate(needs)}
    drawing = draw(nodes_of(graph), group)
    shown = [strip.node_id for strip in drawing.strips if strip.node_id]
    assert sorted(shown) == sorted(drawing.nodes)
    assert all(len(strip.arms) <= MOST_LANES for strip in drawing.strips)
    place = {name: number for number, name in enumerate(shown)}
    for name, node in drawing.nodes.items():
        assert all(place[needed] < place[name] for needed in node["depends_on"])


def test_beside_each_node_stands_what_is_known_of_it():
    nodes = [
        {"node_id": "a", "depends_on": [], "state": "succeeded", "started": True},
        {"node_id": "b", "depends_on": ["a"], "state": "waiting", "reason": None},
    ]
    found = [line.plain for line in lines(draw(nodes, group), ("state", "reason"), {"a"}, PLAIN)]
    assert found == ["     state", "* a  succeeded", ". b  waiting"]


def test_many_nodes_as_one_say_how_many_how_long_and_who_is_in_trouble():
    members = [{"node_id": f"m{n}", "state": "failed" if n < 7 else "succeeded"} for n in range(10)]
    told = group("level 1: 10 nodes", members)
    assert told["state"] == "7 failed, 3 succeeded"
    assert told["reason"] == "failed: m0, m1, m2, m3, m4 and 2 more"
