"""Simulated hours with faults violate no invariant, and what a failing seed says can be replayed."""

from __future__ import annotations

import pytest
import structlog

from tests.simulation.report import report
from tests.simulation.simulation import plan_of, simulate

SEEDS = range(1, 501)
PARTS = 10
"""Each part is a test of its own, so that several processes share them."""


@pytest.fixture(autouse=True)
def _quiet():
    """The lines that the code logs belong to no test."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_violates_an_invariant(part):
    for seed in SEEDS[part::PARTS]:
        outcome = simulate(plan_of(seed))
        if outcome.violations:
            pytest.fail(report(outcome))


def test_a_seed_always_has_the_same_history():
    one, other = (simulate(plan_of(7), with_trace=True) for _ in range(2))
    assert one.trace == other.trace
    assert len(one.trace) > 100
