"""What the judge finds, and what it counts."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    EARLY = "EARLY"
    """A process started before its time, or a node before the nodes that it depends on had ended."""
    LATE = "LATE"
    """A process started after its window, and no fault and no run before it says why."""
    DOUBLE = "DOUBLE"
    """A run was executed again, although it had succeeded, or although its process had not ended by its own account."""
    OVERLAP = "OVERLAP"
    """Two runs of a job had a process at the same time, and its policy forbids that."""
    ZOMBIE = "ZOMBIE"
    """A process was alive after its attempt had ended, or after a later attempt of its run had begun."""
    GHOST = "GHOST"
    """A run or process that was not asked for, or that started after its end was final."""
    STATUS_LIE = "STATUS_LIE"
    """The read model and the process's own account differ."""
    LOST = "LOST"
    """Something was accepted, and has neither an end nor a reason that holds."""


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    kind: Kind
    run_id: str
    """Or the job, DAG or request, if there is no run."""
    sentence: str
    evidence: tuple[str, ...] = ()
    """Lines of the journals and rows, as JSON."""
    explained_by: str | None = None
    """For a DOUBLE: the lost lease."""


class Tally(msgspec.Struct, kw_only=True):
    """What was looked at. A verdict without violations says nothing if these are zero."""

    targets: int = 0
    required: int = 0
    """Targets that must have a run or a reason; the others are next to a change."""
    matched: int = 0
    """Targets with a completed run of their own, started within the window."""
    reasons: Counter[str] = msgspec.field(default_factory=Counter)
    """Targets and requests with a reason that holds instead of a run, by its code."""
    requests: int = 0
    """Accepted requests for runs, with an end or a reason."""
    stops: int = 0
    """Accepted requests to stop something."""
    reruns: int = 0
    refused: int = 0
    """What the database refused, and had no effect."""
    epochs: int = 0
    nodes: int = 0
    executions: int = 0
    again: int = 0
    """Executions after another one of the same run: retries, reruns, and after a lost lease."""
    effects: int = 0
    torn: int = 0


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    violations: tuple[Violation, ...]
    """Those that nothing explains."""
    explained: tuple[Violation, ...]
    tally: Tally

    @property
    def counts(self) -> dict[Kind, int]:
        found = Counter(each.kind for each in self.violations)
        return {kind: found[kind] for kind in Kind}


def evidence(*values: object) -> tuple[str, ...]:
    return tuple(msgspec.json.encode(each).decode() for each in values if each is not None)
