"""Facts about the nodes of a DAG run: what a node waits for, why it did not run, which nodes failed."""

from __future__ import annotations

from schemas.words import RunState
from streams.core.dag.trigger import OUTCOME, Outcome
from tidemill.explain.telling import Fact, lasted, listed
from tidemill.target import Row

MOST_CAUSES = 20


def waits_for(nodes: list[Row], node_id: str) -> str:
    """The dependencies of a node that have not ended, as text; empty if there are none."""
    states = {each["node_id"]: each["state"] for each in nodes}
    return listed(
        [
            f"{each} ({states.get(each) or 'waiting'})"
            for each in _needed(nodes, node_id)
            if not _ended(states.get(each))
        ]
    )


def causes(nodes: list[Row], node_id: str) -> list[str]:
    """The runs of upstream nodes that failed, followed through nodes in upstream_failed."""
    by_id = {each["node_id"]: each for each in nodes}
    found: list[str] = []
    seen = {node_id}
    above = _needed(nodes, node_id)
    while above and len(found) < MOST_CAUSES:
        each = above.pop(0)
        node = by_id.get(each)
        if node is None or each in seen or not _ended(node["state"]):
            continue
        seen.add(each)
        outcome = OUTCOME[RunState(node["state"])]
        if outcome is Outcome.FAILED:
            found.append(node["run_id"])
        elif outcome is Outcome.UPSTREAM_FAILED:
            above += node["depends_on"]
    return found


def node_facts(nodes: list[Row], run: Row) -> list[Fact]:
    """The node's trigger rule, its dependencies, and the failures that kept it from running."""
    node = next((each for each in nodes if each["node_id"] == run["node_id"]), None)
    if node is None or not node["depends_on"]:
        return []
    by_id = {each["node_id"]: each for each in nodes}
    told = [f"{each} ({_outcome(by_id[each], run['node_id'])})" for each in node["depends_on"] if each in by_id]
    facts = [
        Fact(name="depends_on", sentence=f"It depends on {listed(told)}; its trigger_rule is {node['trigger_rule']}.")
    ]
    by_run = {each["run_id"]: each for each in nodes}
    if run["state"] in {"upstream_failed", "skipped"}:
        for cause in causes(nodes, run["node_id"]):
            sentence = f"The cause: {cause} {_how(by_run[cause])}."
            facts.append(Fact(name="cause", at=by_run[cause]["finished_at"], sentence=sentence, data={"run_id": cause}))
    return facts


def dag_facts(nodes: list[Row]) -> list[Fact]:
    """The failed nodes of a DAG run, its open nodes, and its slowest node."""
    facts: list[Fact] = []
    for each in nodes:
        if _ended(each["state"]) and OUTCOME[RunState(each["state"])] is Outcome.FAILED and len(facts) < MOST_CAUSES:
            sentence = f"Node {each['node_id']} {_how(each)}."
            facts.append(
                Fact(name="node_failed", at=each["finished_at"], sentence=sentence, data={"run_id": each["run_id"]})
            )
    still_open = [
        f"{each['node_id']} ({each['state']})" for each in nodes if each["state"] and not _ended(each["state"])
    ]
    if still_open:
        facts.append(Fact(name="open_nodes", sentence=f"Open nodes: {listed(still_open)}."))
    ended = [each for each in nodes if each["finished_at"] and each["started_at"]]
    if ended and not still_open:
        slowest = max(ended, key=lambda each: each["finished_at"] - each["started_at"])
        took = lasted(slowest["finished_at"] - slowest["started_at"])
        facts.append(Fact(name="slowest_node", sentence=f"Its slowest node was {slowest['node_id']}: {took}."))
    return facts


def _outcome(node: Row, child: str) -> str:
    """A dependency's state, and the nodes that it chose if `child` is not among them."""
    chosen = node.get("next_nodes")
    state = node["state"] or "waiting"
    return state if chosen is None or child in chosen else f"{state}, and chose {listed(chosen) or 'none'}"


def _how(node: Row) -> str:
    """`failed: exit code 3`."""
    before = {"cancelled": "was ", "dead": "is "}.get(node["state"], "")
    reason = f": {node['reason']}" if node["reason"] else ""
    return f"{before}{node['state'].replace('_', ' ')}{reason}"


def _needed(nodes: list[Row], node_id: str) -> list[str]:
    return next((list(each["depends_on"]) for each in nodes if each["node_id"] == node_id), [])


def _ended(state: str | None) -> bool:
    return state is not None and RunState(state).is_final
