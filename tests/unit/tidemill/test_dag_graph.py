"""Views of a graph: levels, the critical path, Graphviz."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tidemill.dag_graph import critical_path, dot, levels

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


def node(node_id, *depends_on, begin=None, end=None, state="succeeded"):
    """`begin` and `end` are in seconds; a node without `begin` has no run."""
    at = {None: None} | {number: START + timedelta(seconds=number) for number in range(100)}
    return {
        "node_id": node_id,
        "depends_on": list(depends_on),
        "state": state if begin is not None or end is not None else None,
        "queued_at": at[begin],
        "finished_at": at[end],
    }


DIAMOND = (
    node("a", begin=0, end=1),
    node("b", "a", begin=1, end=9),
    node("c", "a", begin=1, end=4),
    node("d", "b", "c", begin=9, end=10),
)


def test_a_node_is_one_level_below_the_deepest_of_its_dependencies():
    assert levels([*DIAMOND, node("e", "a", "d")]) == {"a": 0, "b": 1, "c": 1, "d": 2, "e": 3}


@pytest.mark.parametrize(
    ("nodes", "path"),
    [
        (DIAMOND, "abd"),
        ((*DIAMOND[:2], node("c", "a", begin=1), node("d", "b", "c")), "ac"),
        ((*DIAMOND[:3], node("d", "b", "c", begin=4, end=20)), "acd"),
        ((*DIAMOND, node("e", "d", end=10, state="upstream_failed"), node("f", "e", begin=10, end=11)), "abdef"),
        ((node("a"),), ""),
    ],
    ids=["all ended", "one is open", "one that did not wait for all", "through what never ran", "nothing began"],
)
def test_the_critical_path_leads_to_what_ended_last_by_what_was_waited_for(nodes, path):
    assert "".join(critical_path(nodes)) == path


def test_graphviz_gets_every_node_and_edge_with_quotes_that_hold():
    drawn = dot('x"y', DIAMOND, ["a", "b", "d"])
    assert drawn.startswith('digraph "x\\"y" {')
    assert '"a" -> "b" [penwidth=3];' in drawn
    assert '"a" -> "c";' in drawn
    assert '"d" [label="d\\nsucceeded", fillcolor=palegreen];' in drawn
    assert drawn.endswith("}")
