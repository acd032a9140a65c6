"""The verdict as a page for a reader: counts first, then each violation with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.chaos.judge.history import History
from tests.chaos.judge.verdict import lasted
from tests.chaos.judge.violations import Kind, Verdict, Violation

SHOWN = 5
"""So many violations of each kind are shown with their evidence."""
LINES_SHOWN = 12


def report(history: History, verdict: Verdict) -> str:
    return "\n".join(_lines(history, verdict))


def _lines(history: History, verdict: Verdict) -> Iterator[str]:
    tally = verdict.tally
    yield f"The judge looked at {lasted(history):.1f} minutes of the load with seed {history.began.seed}:"
    yield f"  {tally.targets} occurrences were due, {tally.targets - tally.required} of them next to a change"
    yield f"  {tally.matched} of them each have a completed run of their own that started within its window"
    yield f"  {tally.requests} requests for runs, {tally.stops} to stop and {tally.reruns} to run again were accepted"
    yield f"  {tally.refused} acts were refused"
    yield f"  {tally.epochs} DAG runs had {tally.nodes} nodes"
    yield f"  {tally.executions} processes started, {tally.again} of them for a run that had a process before"
    yield f"  {tally.effects} effects were written behind the fence; {tally.torn} lines of the journal are torn"
    yield f"  {len(history.faults)} faults were injected"
    for code, count in sorted(tally.reasons.items()):
        yield f"  {count} did not run, and the reason {code} holds"
    yield "violations:"
    yield from (f"  {kind.value:<12}{count:>5}" for kind, count in verdict.counts.items())
    yield f"  explained {Kind.DOUBLE.value}: {len(verdict.explained)}"
    for kind in Kind:
        yield from _shown([each for each in verdict.violations if each.kind is kind])
    for each in verdict.explained[:SHOWN]:
        yield f"explained: {each.sentence}; {each.explained_by}"
    if len(verdict.explained) > SHOWN:
        yield f"explained: and {len(verdict.explained) - SHOWN} more"


def _shown(violations: Sequence[Violation]) -> Iterator[str]:
    """Of one kind."""
    for each in violations[:SHOWN]:
        yield f"{each.kind.value}: {each.sentence}"
        yield from (f"    {line}" for line in each.evidence[:LINES_SHOWN])
        if len(each.evidence) > LINES_SHOWN:
            yield f"    and {len(each.evidence) - LINES_SHOWN} more"
    if len(violations) > SHOWN:
        yield f"{violations[0].kind.value}: and {len(violations) - SHOWN} more"
