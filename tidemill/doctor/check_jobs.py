"""The check of overdue jobs and DAGs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tidemill.doctor.facts import Overdue
from tidemill.doctor.finding import Finding, bad, listed, ok

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


CHECKS: tuple[Callable[[Overdue], Iterator[Finding]], ...] = (overdue,)
