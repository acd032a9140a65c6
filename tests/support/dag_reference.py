"""The reference for DAG runs: expected states from the table in docs/dags.md, and checks of a history against it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from schemas.dag import NodeSpec
from schemas.ids import RunId, node_run_id
from schemas.reasons import ReasonCode
from schemas.status import RunStatus, Transition
from schemas.words import RunState, TriggerRule

DOCUMENT = Path(__file__).parents[2] / "docs" / "dags.md"
LETTERS = {
    RunState.SUCCEEDED: "s",
    RunState.FAILED: "f",
    RunState.TIMED_OUT: "f",
    RunState.DEAD: "f",
    RunState.CANCELLED: "f",
    RunState.SKIPPED: "k",
    RunState.UPSTREAM_FAILED: "u",
}
STARTED_EARLY_BY = {TriggerRule.ONE_SUCCESS: "s", TriggerRule.ONE_FAILED: "fu", TriggerRule.ONE_DONE: "sf"}
NEVER = {"skip": RunState.SKIPPED, "uf": RunState.UPSTREAM_FAILED}


def truth_table() -> dict[TriggerRule, dict[str, str]]:
    """Rule and letters of the dependencies' states -> `run`, `skip` or `uf`."""
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("|") and not re.fullmatch(r"[|\- ]+", line)
    ]
    columns = rows[0][1:]
    return {TriggerRule(rule): dict(zip(columns, cells, strict=True)) for rule, *cells in rows[1:]}


TABLE = truth_table()


def letters(states: Iterable[RunState]) -> str:
    """The states as letters, in the order of the table's columns."""
    found = {LETTERS[state] for state in states}
    return "".join(each for each in "sfku" if each in found)


def expected_states(
    nodes: Sequence[NodeSpec], own_ends: Mapping[str, RunState], chosen: Mapping[str, Sequence[str]] | None = None
) -> dict[str, RunState]:
    """Each node's expected state. `own_ends`: how a node ends if it runs; `chosen`: what it chooses if it succeeds."""
    states: dict[str, RunState] = {}
    for node in nodes:
        found = letters(
            seen_by(
                node.node_id, states[each], (chosen or {}).get(each) if states[each] is RunState.SUCCEEDED else None
            )
            for each in node.depends_on
        )
        verdict = TABLE[node.trigger_rule][found] if found else "run"
        states[node.node_id] = own_ends[node.node_id] if verdict == "run" else NEVER[verdict]
    return states


def seen_by(node_id: str, state: RunState, chosen: Sequence[str] | None) -> RunState:
    """The state in which `node_id` sees a dependency: SKIPPED if the dependency chose other nodes."""
    return state if chosen is None or node_id in chosen else RunState.SKIPPED


def expected_result(states: Iterable[RunState]) -> RunState:
    return RunState.FAILED if set(letters(states)) & set("fu") else RunState.SUCCEEDED


def no_node_before_its_rule_holds(history: Iterable[RunStatus], nodes: Sequence[NodeSpec]) -> list[str]:
    """A node starts, or is skipped, only after its dependencies ended as its trigger rule requires, by version.

    This holds for each life of a node: after a rerun, a node waits for the new lives of its dependencies.
    """
    lives = _lives(history)
    problems = []
    for dag_run_id in [run_id for run_id in lives if "/" not in run_id]:
        for node in nodes:
            run_id = node_run_id(dag_run_id, node.node_id)
            parents = [lives.get(node_run_id(dag_run_id, each), {}) for each in node.depends_on]
            for rerun_id, life in lives.get(run_id, {}).items():
                born = life.transitions[0]
                ends = [_end_before(born.version, rerun_id, node.node_id, each) for each in parents]
                if not _may_begin(node, born, ends):
                    problems.append(f"{run_id} got {born.state.value} before its rule held")
    return problems


Lives = Mapping[str | None, RunStatus]


def _lives(history: Iterable[RunStatus]) -> dict[RunId, dict[str | None, RunStatus]]:
    """For each DAG run and node: the last record of each life, keyed by the rerun that started that life."""
    lives: dict[RunId, dict[str | None, RunStatus]] = {}
    for status in history:
        if status.dag_id:
            lives.setdefault(status.run_id, {})[status.rerun_id] = status
    return lives


def _end_before(version: int, rerun_id: str | None, node_id: str, lives: Lives) -> RunState | None:
    """The final state of a dependency before `version`, as `node_id` sees it; None: it had not ended.

    `lives` are those of the dependency.
    """
    since = lives[rerun_id].transitions[0].version if rerun_id in lives else 0
    before = [(each.version, each.state, life) for life in lives.values() for each in life.transitions]
    last, state, life = max(
        (each for each in before if each[0] < version), default=(-1, None, None), key=lambda each: each[0]
    )
    if state is None or life is None or not state.is_final or last < since:
        return None
    return seen_by(node_id, state, life.next_nodes)


def _may_begin(node: NodeSpec, born: Transition, parents: Sequence[RunState | None]) -> bool:
    is_marked = born.reason_code is ReasonCode.MARKED
    if is_marked or born.state is RunState.CANCELLED or not parents or node.trigger_rule is TriggerRule.ALWAYS:
        return True
    before = [each for each in parents if each]
    if born.state is RunState.QUEUED and set(letters(before)) & set(STARTED_EARLY_BY.get(node.trigger_rule, "")):
        return True
    wanted = {RunState.QUEUED: "run", RunState.SKIPPED: "skip", RunState.UPSTREAM_FAILED: "uf"}[born.state]
    return len(before) == len(parents) and TABLE[node.trigger_rule][letters(before)] == wanted


def every_epoch_ends(history: Iterable[RunStatus], nodes: Sequence[NodeSpec]) -> list[str]:
    """A DAG run ends after all its nodes, and counts their final states."""
    last = {status.run_id: status for status in history}
    problems = []
    for dag_run in [each for each in last.values() if each.dag_id and each.node_id is None and each.started_at]:
        runs = {node.node_id: last.get(node_run_id(dag_run.run_id, node.node_id)) for node in nodes}
        problems += [f"{dag_run.run_id}: node {each} is missing" for each, run in runs.items() if run is None]
        if not dag_run.state.is_final:
            problems.append(f"{dag_run.run_id} never ended: it is {dag_run.state.value}")
        found = [run for run in runs.values() if run]
        problems += [
            f"{run.run_id} is {run.state.value} after the end of its DAG run"
            for run in found
            if not run.state.is_final or run.transitions[-1].version > dag_run.transitions[-1].version
        ]
        counts = {state: sum(run.state is state for run in found) for state in {run.state for run in found}}
        problems += (
            [] if dag_run.nodes == counts else [f"{dag_run.run_id} counts {dag_run.nodes}, its nodes are {counts}"]
        )
    return problems


def one_epoch_at_a_time(history: Iterable[RunStatus], most: int = 1) -> list[str]:
    """At most `most` DAG runs of a DAG are open at once."""
    problems = []
    open_now: set[str] = set()
    for status in sorted(history, key=lambda each: each.version):
        if status.dag_id is None or status.node_id is not None or status.started_at is None:
            continue
        if status.state.is_final:
            open_now.discard(status.run_id)
            continue
        open_now.add(status.run_id)
        problems += [f"{sorted(open_now)} are open at once"] if len(open_now) > most else []
    return problems
