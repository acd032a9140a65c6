"""The verdict over a history: every check, what each found, and what was looked at. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from tests.chaos.judge.dags import dag_runs
from tests.chaos.judge.effects import double_effects
from tests.chaos.judge.executions import Seen, see
from tests.chaos.judge.history import Asked, History
from tests.chaos.judge.lies import lies
from tests.chaos.judge.occurrences import occurrences
from tests.chaos.judge.processes import FINAL, doubles, late_starts, overlaps, zombies
from tests.chaos.judge.requests import requests, stops
from tests.chaos.judge.violations import Kind, Tally, Verdict, Violation, evidence
from tests.chaos.judge.windows import Interval


def judge(history: History) -> Verdict:
    seen, tally = see(history), Tally()
    found = list(_found(seen, _faults(history), tally))
    _count(seen, tally)
    unique = list({(each.kind, each.run_id, each.sentence): each for each in found}.values())
    return Verdict(
        violations=tuple(each for each in unique if each.explained_by is None),
        explained=tuple(each for each in unique if each.explained_by is not None),
        tally=tally,
    )


def _found(seen: Seen, faults: Sequence[Interval], tally: Tally) -> Iterator[Violation]:
    yield from occurrences(seen, faults, tally)
    yield from requests(seen, faults, tally)
    yield from stops(seen, faults, tally)
    yield from dag_runs(seen, tally)
    yield from doubles(seen)
    yield from double_effects(seen)
    yield from zombies(seen)
    yield from overlaps(seen)
    yield from late_starts(seen)
    yield from lies(seen)
    yield from _open_nodes(seen)


def _faults(history: History) -> list[Interval]:
    end = history.until
    return [(each.at, min((each.until or end) + history.bounds.recovery, end)) for each in history.faults]


def _open_nodes(seen: Seen) -> Iterator[Violation]:
    """Open runs of jobs and DAGs are found with what asked for them."""
    for run in seen.runs.values():
        if run.node_id is not None and run.state not in FINAL:
            sentence = f"the node {run.run_id} is still {run.state}"
            yield Violation(kind=Kind.LOST, run_id=run.run_id, sentence=sentence, evidence=evidence(run))


def _count(seen: Seen, tally: Tally) -> None:
    history = seen.history
    tally.refused += sum(each.outcome == "refused" and not _is_run(each) for each in history.acts)
    tally.executions = sum(map(len, seen.executions.values()))
    tally.again = tally.executions - len(seen.executions)
    tally.effects, tally.torn = len(history.effects), len(history.torn)


def _is_run(act: object) -> bool:
    return isinstance(act, Asked) and act.kind == "run"


def lasted(history: History) -> float:
    """Minutes."""
    begin: datetime = history.began.at
    return (history.until - begin).total_seconds() / 60
