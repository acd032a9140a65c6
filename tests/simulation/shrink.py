"""Makes the plan of a failing seed as short as it can be, while the same invariant stays violated."""

from __future__ import annotations

import msgspec

from tests.simulation.plan import Act, Plan
from tests.simulation.simulation import simulate

MOST_TRIALS = 120


def shrink(plan: Plan, invariant: str) -> Plan:
    """Leaves out halves of the acts, then smaller parts, then single ones."""
    trials = 0
    size = max(1, len(plan.acts) // 2)
    while trials < MOST_TRIALS:
        shorter, used = _without_a_part(plan, invariant, size, MOST_TRIALS - trials)
        trials += used
        if shorter is not None:
            plan = shorter
        elif size == 1:
            break
        else:
            size = max(1, size // 2)
    return plan


def _without_a_part(plan: Plan, invariant: str, size: int, most: int) -> tuple[Plan | None, int]:
    """The plan without `size` acts, if it is still violated; and the number of trials."""
    used = 0
    for begin in range(0, len(plan.acts), size):
        if used == most:
            break
        shorter = _with(plan, plan.acts[:begin] + plan.acts[begin + size :])
        used += 1
        if invariant in simulate(shorter).violations:
            return shorter, used
    return None, used


def _with(plan: Plan, acts: tuple[Act, ...]) -> Plan:
    return msgspec.structs.replace(plan, acts=acts)
