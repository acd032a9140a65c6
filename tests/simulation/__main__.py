"""`python -m tests.simulation`: plays seeds, or plants every bug and writes how soon each is found."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

import structlog

from tests.simulation import bugs, coverage
from tests.simulation.history import History
from tests.simulation.report import report
from tests.simulation.simulation import plan_of, simulate

SIMULATED_MINUTES = 65


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many seeds, from 1")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--bugs", action="store_true", help="plant every bug; write the table in docs/reliability.md")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if asked.bugs:
        return bugs.write_table()
    return play(range(asked.seed, asked.seed + 1) if asked.seed is not None else range(1, asked.seeds + 1))


def play(seeds: range) -> int:
    """Returns the exit code: 1 after the first seed that violates an invariant."""
    began, reached = time.monotonic(), Counter[tuple[str, str]]()
    for number, seed in enumerate(seeds, 1):
        outcome = simulate(plan_of(seed))
        if outcome.violations:
            print(report(outcome))
            return 1
        reached += outcome.coverage
        coverage.note_runs(reached, History(outcome.deployment))
        if number % 100 == 0:
            print(f"{number} seeds, {time.monotonic() - began:.0f} s", file=sys.stderr)
    seconds = time.monotonic() - began
    print(f"{len(seeds)} seeds of {SIMULATED_MINUTES} simulated minutes each in {seconds:.0f} s: no violation\n")
    print(coverage.table(reached))
    return 0


if __name__ == "__main__":
    sys.exit(main())
