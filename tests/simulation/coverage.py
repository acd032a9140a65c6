"""Which transitions and protocol steps the simulations reached, of all that the code has, with counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from executors.attempt import TRANSITIONS
from schemas.words import AttemptEnd
from streams.core.runs.run import LEGAL
from streams.owner import phases
from streams.owner.session_calls import Call
from tests.simulation.history import History
from tests.simulation.simulation import KINDS

Reached = Counter[tuple[str, str]]
SEPARATOR = "\t"

ALL: dict[str, set[str]] = {
    "run": {f"{before.value if before else 'new'} -> {after.value}" for before, to in LEGAL.items() for after in to},
    "end": {each.value for each in AttemptEnd},
    "attempt": {f"{phase.value}: {fact.value}" for phase, fact in TRANSITIONS},
    "session": {f"{phase.value}: {outcome.value}" for phase, outcome in phases._NEXT},
    "call": {each.__name__ for each in Call.__subclasses__()},
    "act": set(KINDS),
}
TITLES = {
    "run": "transitions of a run",
    "end": "ends of an attempt",
    "attempt": "transitions of an attempt on its executor",
    "session": "transitions of an owner's session",
    "call": "calls of a session",
    "fault": "faults at a call, and at a record",
    "act": "kinds of acts of users, and of faults",
    "clock": "states of a cluster clock after a round",
    "end of a process": "causes of the end of a process",
    "sink": "what a sink's transaction did",
    "watchdog": "what a worker's watchdog did",
}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What consecutive seeds reached."""

    first: int
    seeds: int
    seconds: float
    """Of CPU."""
    counts: dict[str, int]
    """By table and entry, with a tab in between."""


def note_runs(reached: Reached, history: History) -> None:
    for status in history.last.values():
        before = "new"
        for transition in status.transitions:
            reached["run", f"{before} -> {transition.state.value}"] += 1
            before = transition.state.value
        reached.update(("end", each.end.value) for each in status.attempts if each.end is not None)


def part_of(first: int, seeds: int, seconds: float, reached: Reached) -> Part:
    counts = {SEPARATOR.join(entry): count for entry, count in sorted(reached.items())}
    return Part(first=first, seeds=seeds, seconds=round(seconds, 1), counts=counts)


def read(paths: list[Path]) -> list[Part]:
    return [msgspec.json.decode(line, type=Part) for path in paths for line in path.read_bytes().splitlines()]


def total(parts: list[Part]) -> Reached:
    found: Reached = Counter()
    for part in parts:
        for entry, count in part.counts.items():
            table, _, name = entry.partition(SEPARATOR)
            found[table, name] += count
    return found


def tables(reached: Reached) -> str:
    """As Markdown: a summary, then how often each entry was reached."""
    lines = ["| of | reached | never reached |", "|---|---|---|"]
    for name, title in TITLES.items():
        every = _every(reached, name)
        missing = ", ".join(f"`{each}`" for each in sorted(every) if not reached[name, each]) or "-"
        count = sum(bool(reached[name, each]) for each in every)
        lines.append(f"| {title} | {count} of {len(every)} | {missing} |")
    for name, title in TITLES.items():
        lines += ["", f"| {title} | times |", "|---|---|"]
        lines += [f"| {each} | {reached[name, each]:,} |" for each in sorted(_every(reached, name))]
    return "\n".join(lines)


def _every(reached: Reached, name: str) -> set[str]:
    return ALL.get(name) or {entry for kind, entry in reached if kind == name}
