"""The nodes of each DAG run: all of them, each after those that it depends on. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.judge.executions import Execution, Seen
from tests.chaos.judge.history import Run
from tests.chaos.judge.outcomes import nodes_of
from tests.chaos.judge.processes import FINAL
from tests.chaos.judge.violations import Kind, Tally, Violation, evidence

ENDED_WITH_ALL = frozenset({"succeeded", "failed"})


def dag_runs(seen: Seen, tally: Tally) -> Iterator[Violation]:
    """The load does not change the nodes of a DAG, so any of its definitions has them."""
    nodes = nodes_of(seen)
    for owner, definitions in seen.definitions.items():
        wanted = next((each.spec.nodes for each in definitions if each.spec and each.spec.nodes), None)
        if wanted is None:
            continue
        for run in [each for each in seen.runs.values() if each.job_id == owner and each.kind == "dag"]:
            tally.epochs += run.missed_from is None
            tally.nodes += len(nodes.get(run.run_id, ()))
            if run.state in ENDED_WITH_ALL:
                yield from _all_nodes(seen, run, wanted)
            yield from _in_order(seen, run, wanted)
            yield from _no_others(seen, run, nodes.get(run.run_id, []), wanted)


def _all_nodes(seen: Seen, run: Run, wanted: dict[str, tuple[str, ...]]) -> Iterator[Violation]:
    rows = {node: seen.runs.get(f"{run.run_id}/{node}") for node in wanted}
    for node, row in rows.items():
        if row is None or row.state not in FINAL:
            sentence = f"{run.run_id} is {run.state}, and its node {node} is {row.state if row else 'unknown'}"
            yield _violation(Kind.LOST, f"{run.run_id}/{node}", sentence, run, row)
    bad = [node for node, row in rows.items() if row is not None and row.state not in ("succeeded", "skipped")]
    if run.state == "succeeded" and bad:
        sentence = f"{run.run_id} is succeeded, and its node {bad[0]} is not"
        yield _violation(Kind.STATUS_LIE, run.run_id, sentence, run, rows[bad[0]])
    if run.state == "failed" and not bad:
        yield _violation(Kind.STATUS_LIE, run.run_id, f"{run.run_id} is failed, and no node of it is", run)


def _in_order(seen: Seen, run: Run, wanted: dict[str, tuple[str, ...]]) -> Iterator[Violation]:
    for node, needed in wanted.items():
        for execution in seen.executions.get(f"{run.run_id}/{node}", ()):
            for before in needed:
                earlier = seen.executions.get(f"{run.run_id}/{before}", [])
                if not any(_had_succeeded(each, execution, seen) for each in earlier):
                    sentence = f"{execution.name} started before a process of {before} had succeeded"
                    lines = [line for each in earlier for line in each.lines]
                    yield _violation(Kind.EARLY, execution.run_id, sentence, execution.lines[0], *lines)


def _had_succeeded(each: Execution, execution: Execution, seen: Seen) -> bool:
    return each.succeeded and each.last <= execution.start + seen.history.bounds.instant


def _no_others(seen: Seen, run: Run, nodes: list[str], wanted: dict[str, tuple[str, ...]]) -> Iterator[Violation]:
    for run_id in nodes:
        if run_id.rpartition("/")[2] not in wanted:
            yield _violation(
                Kind.GHOST, run_id, f"{run_id} exists, and its DAG has no such node", seen.runs.get(run_id)
            )


def _violation(kind: Kind, run_id: str, sentence: str, *values: object) -> Violation:
    return Violation(kind=kind, run_id=run_id, sentence=sentence, evidence=evidence(*values))
