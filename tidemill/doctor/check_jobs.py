"""The checks of overdue jobs and DAGs, and of runs that no executor can run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tidemill.doctor.facts import Overdue
from tidemill.doctor.finding import Finding, bad, listed, ok, warn

NAMED = 3
"""As many are named; `tidemill overdue` lists all."""


def overdue(facts: Overdue) -> Iterator[Finding]:
    name, names = "jobs.overdue", facts.names
    if names:
        others = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
        yield bad(
            name,
            f"{listed([*names[:NAMED], *others])} {'were' if len(names) > 1 else 'was'} due more than "
            f"{facts.after.total_seconds():g} s ago, and there is neither a run nor a reason why not",
            f"see the other findings; `tidemill overdue` lists all, and `tidemill explain '{names[0]}'` explains one",
        )
    else:
        yield ok(name, "every occurrence that was due has a run, or a reason why not")


def capable(facts: Overdue) -> Iterator[Finding]:
    name = "jobs.capable"
    if facts.unmet:
        run_id, reason = facts.unmet[0]
        others = f", and {len(facts.unmet) - 1} more runs" if len(facts.unmet) > 1 else ""
        yield warn(
            name,
            f"{run_id} {reason}{others}",
            "start an executor that can, or let the jobs ask for less; "
            "`tidemill runs --reason no_capable_executor` lists the runs",
        )
    else:
        yield ok(name, "no run waits for an executor that gives more")


CHECKS: tuple[Callable[[Overdue], Iterator[Finding]], ...] = (overdue, capable)
