"""Each rule of the protocol that the simulation can see is found when it is left out."""

from __future__ import annotations

import pytest
import structlog

from tests.simulation import bugs
from tests.simulation.planted.bug import planted
from tests.simulation.report import report
from tests.simulation.simulation import plan_of, simulate

RULES = {
    *("I1", "I2", "I4", "I5", "I6", "I7", "I8"),
    *("O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9", "O10"),
    *("D1", "D2", "D3", "D4", "D5", "D7"),
    *("L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8"),
    *("T1", "S1", "S2"),
}
"""Those that the simulation has to see. docs/reliability.md says of each other one why it cannot."""


@pytest.fixture(autouse=True)
def _quiet():
    """The lines that the code logs belong to no test."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("bug", bugs.BUGS, ids=lambda bug: f"{bug.rule}: {bug.what}")
def test_the_simulation_finds_a_planted_bug(bug):
    """With the seed in docs/reliability.md; if that plan has changed, with a later one."""
    first = bugs.known_seeds().get((bug.title, bug.what), 1)
    assert bugs.find(bug, first=first) is not None


def test_every_rule_that_it_can_see_has_a_planted_bug():
    assert {bug.rule for bug in bugs.BUGS} >= RULES


def test_a_report_names_the_command_and_the_shortest_history():
    (bug,) = [each for each in bugs.BUGS if each.rule == "L7"]
    with planted(bug):
        found = bugs.find(bug)
        text = report(simulate(plan_of(found.seed)))
    assert f"make simulate SEED={found.seed}" in text
    assert "but its process got TERM" in text
