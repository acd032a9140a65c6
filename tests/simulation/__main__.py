"""`python -m tests.simulation`: plays seeds, or plants every bug and writes how soon each is found."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import structlog

from tests.simulation import bugs, coverage
from tests.simulation.report import report
from tests.simulation.simulation import plan_of, simulate

SIMULATED_MINUTES = 65
PART = 100
"""So many seeds are counted together, and said."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--counts", type=Path, help="append what each 100 seeds reached to this file")
    parser.add_argument("--tables", type=Path, nargs="+", help="print the tables of such files; play nothing")
    parser.add_argument("--bugs", action="store_true", help="plant every bug; write the table in docs/reliability.md")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if asked.bugs:
        return bugs.write_table()
    if asked.tables:
        return show(coverage.read(asked.tables))
    seeds = range(asked.first, asked.first + asked.seeds) if asked.seed is None else range(asked.seed, asked.seed + 1)
    return play(seeds, asked.counts)


def play(seeds: range, counts: Path | None) -> int:
    """Returns the exit code: 1 after the first seed that violates an invariant."""
    parts: list[coverage.Part] = []
    for begin in range(seeds.start, seeds.stop, PART):
        part = play_part(range(begin, min(begin + PART, seeds.stop)))
        if part is None:
            return 1
        parts.append(part)
        if counts is not None:
            with counts.open("ab") as file:
                file.write(msgspec.json.encode(part) + b"\n")
        print(f"seeds {begin} to {begin + part.seeds - 1}: no violation, {part.seconds:.0f} s of CPU", flush=True)
    return show(parts)


def play_part(seeds: range) -> coverage.Part | None:
    """None: a seed violates an invariant, and the report is printed."""
    began, reached = time.process_time(), Counter[tuple[str, str]]()
    for seed in seeds:
        outcome = simulate(plan_of(seed))
        if outcome.violations:
            print(report(outcome), flush=True)
            return None
        reached += outcome.coverage
        coverage.note_runs(reached, outcome.history)
    return coverage.part_of(seeds.start, len(seeds), time.process_time() - began, reached)


def show(parts: list[coverage.Part]) -> int:
    seeds, seconds = sum(each.seeds for each in parts), sum(each.seconds for each in parts)
    print(f"{seeds} seeds of {SIMULATED_MINUTES} simulated minutes each, {seconds:.0f} s of CPU: no violation\n")
    print(coverage.tables(coverage.total(parts)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
