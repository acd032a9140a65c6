"""One open DAG run, called an epoch in the code: which nodes have ended, which are open, which are decided."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from schemas.ids import RunId
from schemas.reasons import ReasonCode
from schemas.result import Result
from schemas.words import RunState, TriggerRule
from streams.core.dag.graph import Graph
from streams.core.dag.trigger import OUTCOME, START_OF_SUCCESSES, Ends, NodeDecision, Outcome, can_be_early, decide_node
from streams.core.reason import Reason
from streams.core.stored import EpochBase, RerunNode, StoredNode

_FIRST_TIME = RerunNode()


class Epoch:
    """An epoch is the state of one DAG run. Only `step` changes it. An end of a node costs O(children)."""

    __slots__ = (
        "_counts",
        "_done",
        "_early",
        "_was_queued",
        "attempts",
        "base",
        "chosen",
        "ended",
        "ends_as",
        "graph",
        "not_ended",
        "open",
        "passed",
        "run_id",
        "states",
        "to_decide",
        "to_stop",
    )

    def __init__(self, run_id: RunId, graph: Graph) -> None:
        size = len(graph.needed)
        self.run_id, self.graph = run_id, graph
        self.ends_as: RunState | None = None
        """It is being stopped: no node starts, and the DAG run ends in this state. None: it is not."""
        self.states: dict[RunState, int] = {}
        """The number of nodes by state. Nodes without a state wait for their dependencies."""
        self.base: EpochBase | None = None
        """What remained of it after a rerun or mark."""
        self.attempts: dict[int, int] = {}
        """By ended node: how many attempts it had; nodes without attempts are left out."""
        self.ended: dict[int, RunState] = {}
        self.chosen: dict[int, frozenset[int]] = {}
        """By node that chose: the children that it chose."""
        self.passed: dict[int, Result] = {}
        """By node: the result that its children get."""
        self.open: set[int] = set()
        """Nodes whose run is not final."""
        self.not_ended = size
        self.to_decide: deque[int] = deque()
        """Nodes that start or never run, in the order in which this became known."""
        self.to_stop: deque[int] = deque()
        """Open nodes that must be stopped."""
        self._was_queued = bytearray(size)
        """1 for nodes that are or were in `to_decide`."""
        self._early = bytearray(map(can_be_early, graph.rules))
        self._done = [0] * size
        self._counts: dict[Outcome, list[int]] = {each: [0] * size for each in Outcome}

    def _queue_roots(self) -> None:
        """Queue the nodes that wait for no dependency."""
        for node, needed in enumerate(self.graph.needed):
            if needed == 0 or self.graph.rules[node] is TriggerRule.ALWAYS:
                self._queue_decision(node)

    def resume(self, later: Mapping[str, StoredNode]) -> None:
        """Continue from `base` and from the nodes that ended later. The caller has moved the open nodes already."""
        index = self.graph.index
        nodes = {**self.base.nodes, **later} if self.base else later
        ended = {index[node_id]: stored for node_id, stored in nodes.items() if node_id in index}
        for node in ended:
            self._was_queued[node] = 1
        for node, stored in ended.items():
            self.count_transition(node, None, stored.state)
            self.end(node, stored)
        self._queue_roots()
        if self.ends_as:
            self.stop(self.ends_as)

    def stored(self, node: int) -> StoredNode:
        """The stored value of an ended node."""
        names, chosen = self.graph.dag.nodes, self.chosen.get(node)
        return StoredNode(
            state=self.ended[node],
            passed=self.passed.get(node),
            next_nodes=None if chosen is None else tuple(names[each].node_id for each in sorted(chosen)),
            attempt=self.attempts.get(node, 0),
        )

    def rerun_node(self, node: int) -> RerunNode:
        """The earlier attempts of a node, and the request that runs it again."""
        if self.base is None:
            return _FIRST_TIME
        return self.base.again.get(self.graph.dag.nodes[node].node_id, _FIRST_TIME)

    def rerun_reason(self, node: int) -> Reason | None:
        rerun_id = self.rerun_node(node).rerun_id
        text = self.base.reasons.get(rerun_id) if self.base and rerun_id else None
        return Reason(ReasonCode.RERUN_BY_REQUEST, text) if text else None

    def decision(self, node: int) -> NodeDecision:
        counts, rule, needed = self._counts, self.graph.rules[node], self.graph.needed[node]
        succeeded = counts[Outcome.SUCCEEDED][node]
        if succeeded == needed and rule in START_OF_SUCCESSES:
            return NodeDecision.START
        ends = Ends(
            needed=needed,
            succeeded=succeeded,
            failed=counts[Outcome.FAILED][node],
            skipped=counts[Outcome.SKIPPED][node],
            upstream_failed=counts[Outcome.UPSTREAM_FAILED][node],
        )
        return decide_node(rule, ends)

    def count_transition(self, node: int, before: RunState | None, after: RunState) -> None:
        """A node changes its state."""
        if before is not None:
            self.states[before] -= 1
        self.states[after] = self.states.get(after, 0) + 1
        if not after.is_final:
            self.open.add(node)
            self._was_queued[node] = 1

    def end(self, node: int, stored: StoredNode) -> None:
        """A node has ended or never runs. Its children count it; those that it did not choose count it as skipped."""
        self.open.discard(node)
        self.ended[node] = stored.state
        if stored.attempt:
            self.attempts[node] = stored.attempt
        self.not_ended -= 1
        if stored.passed:
            self.passed[node] = stored.passed
        if stored.next_nodes is not None:
            index = self.graph.index  # a reopened DAG run may use a version without some of them
            self.chosen[node] = frozenset(index[each] for each in stored.next_nodes if each in index)
        counts, skips = self._counts[OUTCOME[stored.state]], self._counts[Outcome.SKIPPED]
        chosen, done, needed = self.chosen.get(node), self._done, self.graph.needed
        for child in self.graph.children[node]:
            if chosen is None or child in chosen:
                counts[child] += 1
            else:
                skips[child] += 1
            done[child] += 1
            if done[child] == needed[child] or (self._early[child] and self.decision(child) is not NodeDecision.WAIT):
                self._queue_decision(child)

    def pass_over(self, node: int, stored: StoredNode) -> None:
        """A node that still waits never runs, regardless of its rule."""
        self._was_queued[node] = 1
        if node in self.to_decide:
            self.to_decide.remove(node)
        self.count_transition(node, None, stored.state)
        self.end(node, stored)

    def stop(self, ends_as: RunState) -> None:
        """Start no more nodes, and stop the open ones; a second call stops them again."""
        self.ends_as = self.ends_as or ends_as
        self.to_stop = deque(sorted(self.open))
        for node in range(len(self._was_queued)):
            self._queue_decision(node)

    def counts(self) -> dict[RunState, int]:
        return {state: number for state, number in self.states.items() if number}

    def _queue_decision(self, node: int) -> None:
        if not self._was_queued[node]:
            self._was_queued[node] = 1
            self.to_decide.append(node)
