"""The result of a DAG run, which all its nodes decide, and the reason why a node never ran."""

from __future__ import annotations

from schemas.reasons import ReasonCode
from schemas.words import RunState
from streams.core.dag.epoch import Epoch
from streams.core.dag.trigger import OUTCOME, Outcome
from streams.core.reason import Reason

MAX_NAMED = 5
"""How many nodes a reason names; it counts the rest."""
CHOSE_OTHERS = "that chose others"


def final_state_of(epoch: Epoch) -> tuple[RunState, Reason | None]:
    """Every node counts, so a last node with rule `always` does not hide a failure."""
    if epoch.ends_as:
        return epoch.ends_as, None
    failed = [node for node, state in epoch.ended.items() if OUTCOME[state] is Outcome.FAILED]
    held_up = epoch.states.get(RunState.UPSTREAM_FAILED, 0)
    if not failed and not held_up:
        return RunState.SUCCEEDED, None
    names = ", ".join(epoch.graph.dag.nodes[node].node_id for node in sorted(failed)[:MAX_NAMED])
    more = f" and {len(failed) - MAX_NAMED} more" if len(failed) > MAX_NAMED else ""
    behind = f"; {held_up} could not run because of it" if held_up else ""
    text = f"{len(failed)} of {len(epoch.ended)} nodes failed: {names}{more}{behind}"
    return RunState.FAILED, Reason(ReasonCode.NODES_FAILED, text)


def why_node_never_ran(epoch: Epoch, node: int, to: RunState) -> Reason:
    """Why the node never runs and ends as `to`, by the states of its dependencies."""
    graph = epoch.graph
    counts: dict[str, int] = {}
    for parent in graph.dag.nodes[node].depends_on:
        number = graph.index[parent]
        chosen = epoch.chosen.get(number)
        word = epoch.ended[number].value if chosen is None or node in chosen else CHOSE_OTHERS
        counts[word] = counts.get(word, 0) + 1
    counted = ", ".join(f"{number} {word}" for word, number in sorted(counts.items()))
    skipped = ReasonCode.NOT_FOLLOWED if CHOSE_OTHERS in counts else ReasonCode.TRIGGER_RULE
    code = ReasonCode.UPSTREAM_FAILED if to is RunState.UPSTREAM_FAILED else skipped
    return Reason(code, f"trigger_rule {graph.rules[node].value}: of its dependencies {counted}")
