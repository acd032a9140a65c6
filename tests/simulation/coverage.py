"""Which transitions and protocol steps the simulations reached, of all that the code has, as a table."""

from __future__ import annotations

from collections import Counter

from executors.attempt import TRANSITIONS
from streams.core.runs.run import LEGAL
from streams.owner import phases
from tests.simulation.history import History
from tests.simulation.simulation import KINDS

Reached = Counter[tuple[str, str]]

ALL: dict[str, set[str]] = {
    "session": {f"{phase.value}: {outcome.value}" for phase, outcome in phases._NEXT},
    "attempt": {f"{phase.value}: {fact.value}" for phase, fact in TRANSITIONS},
    "run": {f"{before.value if before else 'new'} -> {after.value}" for before, to in LEGAL.items() for after in to},
    "act": set(KINDS),
}
TITLES = {
    "session": "transitions of an owner's session",
    "attempt": "transitions of an attempt on an executor",
    "run": "transitions of a run",
    "act": "kinds of acts of users, and of faults",
    "call": "calls of a session",
    "fault": "faults right before or after a call",
    "clock": "states of a cluster clock after a round",
    "end of a process": "causes of the end of a process",
}


def note_runs(reached: Reached, history: History) -> None:
    for status in history.last.values():
        before = "new"
        for transition in status.transitions:
            reached["run", f"{before} -> {transition.state.value}"] += 1
            before = transition.state.value


def table(reached: Reached) -> str:
    """As Markdown."""
    lines = ["| of | reached | never reached |", "|---|---|---|"]
    for name, title in TITLES.items():
        found = {entry for kind, entry in reached if kind == name}
        every = ALL.get(name, found)
        missing = ", ".join(f"`{each}`" for each in sorted(every - found)) or "-"
        lines.append(f"| {title} | {len(found & every)} of {len(every)} | {missing} |")
    return "\n".join(lines)
