"""All planted bugs, and the table that says how soon the simulation finds each of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from tests.simulation.planted import dispatch, lease, owner, rest
from tests.simulation.planted import input as input_
from tests.simulation.planted.bug import Bug, planted
from tests.simulation.simulation import plan_of, simulate

BUGS: tuple[Bug, ...] = (*input_.BUGS, *owner.BUGS, *dispatch.BUGS, *lease.BUGS, *rest.BUGS)
MOST_SEEDS = 1_000
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- the table of planted bugs: make simulate-bugs -->", "<!-- end of the table -->"


class Found(NamedTuple):
    seed: int
    invariant: str
    sentence: str


def find(bug: Bug, first: int = 1, seeds: int = MOST_SEEDS) -> Found | None:
    """The first seed that shows the bug, of those whose plan has the act that it needs."""
    for seed in range(first, first + seeds):
        plan = plan_of(seed)
        if not any(bug.needs in act.kind for act in plan.acts):
            continue
        with planted(bug):
            outcome = simulate(plan)
        if outcome.violations:
            invariant, sentences = next(iter(outcome.violations.items()))
            return Found(seed, invariant, sentences[0])
    return None


def write_table() -> int:
    """Returns the exit code: 1 if a bug was not found."""
    rows, code = [], 0
    for bug in BUGS:
        found = find(bug)
        print(f"{bug.rule}: {bug.what}: {found}", file=sys.stderr, flush=True)
        if found is None:
            code = 1
            rows.append(f"| {bug.title} | {bug.what} | not within {MOST_SEEDS} | |")
        else:
            rows.append(f"| {bug.title} | {bug.what} | {found.seed} | {found.invariant} |")
    table = "\n".join(["| rule | left out | found by seed | the invariant that found it |", "|---|---|---|---|", *rows])
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}")
    return code


def known_seeds() -> dict[tuple[str, str], int]:
    """(title, what is left out) -> the seed in the table."""
    table = PAGE.read_text().split(BEGIN)[1].split(END)[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
    return {(row[0], row[1]): int(row[2]) for row in cells[2:]}
