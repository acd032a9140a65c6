"""Requests about nodes: rerun nodes and what depends on them, or mark a node as ended (decision 0016)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from schemas.errors import TidemillError
from schemas.ids import OwnerId, RunId, dag_run_of, node_run_id, request_of_run
from schemas.reasons import ReasonCode
from schemas.request import NodeEnd, Request
from schemas.words import MarkAs, RunKind, RunState
from streams.core.dag.advance import count_ended, ended_node, publish_node
from streams.core.dag.epoch import Epoch
from streams.core.dag.graph import Graph
from streams.core.dag.node_results import passed_on
from streams.core.dag.stop import stored_epoch
from streams.core.dag.trigger import OUTCOME, Outcome
from streams.core.dag.versions import newest_graph
from streams.core.definitions.covered import cover_one, pause_refusal
from streams.core.effects import Effect, Origin, PutEpoch, PutNode, PutRequest
from streams.core.reason import Reason
from streams.core.requests.refusal import refuse
from streams.core.runs.cancel import cancel_run
from streams.core.runs.life import NewRun, blank_status, create_run, store_and_publish
from streams.core.runs.run import transition_to
from streams.core.state import OwnerState
from streams.core.stored import EpochBase, RerunNode, StoredEpoch, StoredNode

_BAD = frozenset({Outcome.FAILED, Outcome.UPSTREAM_FAILED})
_MARKED = {MarkAs.SUCCEEDED: RunState.SUCCEEDED, MarkAs.SKIPPED: RunState.SKIPPED}
_UNDECIDED_BY_MARK = frozenset({RunState.UPSTREAM_FAILED, RunState.SKIPPED, RunState.CANCELLED})
"""Dependent nodes in these states are decided again after a mark."""


class RefusedOrderError(TidemillError):
    """The request cannot be carried out."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A DAG run as a request finds it."""

    run_id: RunId
    graph: Graph
    epoch: Epoch | None
    """None: the DAG run has ended."""
    ended: dict[str, StoredNode]
    """By node id."""
    nominal_time: datetime
    traceparent: str | None


def rerun_nodes(state: OwnerState, request: Request, now: datetime, origin: Origin) -> list[Effect]:
    """Rerun an ended DAG run, or ended nodes. An ended DAG run is queued until it may open again."""
    effects = count_ended(state)
    try:
        target = _target(state, request)
        again = _to_run_again(target, request)
    except RefusedOrderError as error:
        return effects + refuse(request, str(error), origin)
    text = f"run again: {request.note}" if request.note else f"run again by request {request.request_id}"
    reason = Reason(ReasonCode.RERUN_BY_REQUEST, text)
    base = _base(state, target, again, request, text)
    return effects + _continue_from(state, target, base, request, reason, now)


def mark(state: OwnerState, request: Request, now: datetime, origin: Origin) -> list[Effect]:
    """A node counts as succeeded or skipped from now on. If its process runs, it is stopped first."""
    effects = count_ended(state)
    try:
        target = _target(state, request)
        node_id, to = _to_mark(target, request)
    except RefusedOrderError as error:
        return effects + refuse(request, str(error), origin)
    done = f"marked {to.value}"
    text = f"{done}: {request.note}" if request.note else f"{done} by request {request.request_id}"
    reason = Reason(ReasonCode.MARKED, text)
    node = target.graph.index[node_id]
    if target.epoch and node in target.epoch.open:
        return effects + _mark_open(state, target, node_id, to, reason, now)
    before = target.ended.get(node_id)
    had = before or (target.epoch and target.epoch.rerun_node(node))
    new = NewRun(
        run_id=node_run_id(target.run_id, node_id),
        kind=RunKind.NODE,
        node_id=node_id,
        nominal_time=target.nominal_time,
        scheduled_time=target.nominal_time,
        rerun_id=request.request_id,
        traceparent=target.traceparent,
        attempts=had.attempt if had else 0,
    )
    status = blank_status(target.graph.job(node_id), new)
    status = transition_to(status, to, version=state.next_token(), at=now, reason=reason)
    effects.append(publish_node(status))
    stored = ended_node(status, None)
    if target.epoch and before is None:  # no dependent node was decided by its end
        target.epoch.pass_over(node, stored)
        _wake(state, target.run_id)
        return [*effects, PutNode(run_id=new.run_id, node=stored)]
    again = _downstream(target.graph, [node], lambda each: _state(target, each) in _UNDECIDED_BY_MARK) - {node}
    target.ended[node_id] = stored
    base = _base(state, target, again, request, f"run again: {node_id} {text}")
    return effects + _continue_from(state, target, base, request, Reason(ReasonCode.MARKED, f"{node_id} {text}"), now)


def _target(state: OwnerState, request: Request) -> Target:
    if request.run_id is None:
        raise RefusedOrderError(f"kind {request.kind.value} needs run_id")
    run_id = dag_run_of(request.run_id)
    epoch, run = state.derived.epochs.by_run.get(run_id), state.durable.runs.get(run_id)
    if run is None:
        return _ended_target(state, request, run_id)
    if epoch is None:
        raise RefusedOrderError(f"DAG run {run_id!r} has not started; it can be cancelled")
    if epoch.ends_as:
        raise RefusedOrderError(f"DAG run {run_id!r} is being stopped; ask again when it has ended")
    if request.run_id == run_id:
        raise RefusedOrderError(f"DAG run {run_id!r} has not ended; it can be cancelled, and its nodes can run again")
    nodes = epoch.graph.dag.nodes
    ended = {nodes[node].node_id: epoch.stored(node) for node in epoch.ended}
    return Target(
        run_id=run_id,
        graph=epoch.graph,
        epoch=epoch,
        ended=ended,
        nominal_time=run.status.nominal_time,
        traceparent=run.status.traceparent,
    )


def _ended_target(state: OwnerState, request: Request, run_id: RunId) -> Target:
    """An ended DAG run continues with the newest version. The request carries the ends of its nodes."""
    if request.nominal_time is None:
        raise RefusedOrderError(f"it needs nominal_time, that of DAG run {run_id!r}, which has ended")
    if request_of_run(run_id) is None and request.nominal_time > state.durable.watermark:
        raise RefusedOrderError(f"DAG run {run_id!r} is not due yet")
    if request_of_run(run_id) is None and (full := pause_refusal(state, request.owner, request.nominal_time)):
        raise RefusedOrderError(full)
    if request.nodes is None or request.seen_version <= state.derived.epochs.last_reopened.get(run_id, -1):
        raise RefusedOrderError(
            f"what it says of the nodes of DAG run {run_id!r} is older than what became of them; ask again"
        )
    graph = newest_graph(state, OwnerId(request.job_id))
    ended = {
        node_id: _stored(graph, each)
        for node_id, each in request.nodes.items()
        if node_id in graph.index and each.state.is_final
    }
    return Target(
        run_id=run_id,
        graph=graph,
        epoch=None,
        ended=ended,
        nominal_time=request.nominal_time,
        traceparent=request.traceparent,
    )


def _stored(graph: Graph, end: NodeEnd) -> StoredNode:
    """Nodes that it chose may be missing in the newest version."""
    chosen = None if end.next_nodes is None else tuple(each for each in end.next_nodes if each in graph.index)
    return StoredNode(state=end.state, attempt=end.attempt, passed=passed_on(end.result), next_nodes=chosen)


def _to_run_again(target: Target, request: Request) -> set[int]:
    asked_for = _asked_for(target, request)
    if request.downstream:
        again = _downstream(target.graph, asked_for, lambda _: True)
    else:
        again = _downstream(
            target.graph, asked_for, lambda each: _state(target, each) not in {None, RunState.SUCCEEDED}
        )
    _refuse_if_open(target, again)
    return again


def _refuse_if_open(target: Target, again: set[int]) -> None:
    """Refuse if an open node is to run again, or uses the result of a node that is."""
    if target.epoch is None:
        return
    gave = [each for each in again if each in target.epoch.passed]
    given = {child for each in gave for child in target.graph.children[each]}
    still_open = (again | given) & target.epoch.open
    if still_open:
        node_id = target.graph.dag.nodes[min(still_open)].node_id
        raise RefusedOrderError(f"node {node_id!r}, which depends on it, has not ended; it can be cancelled")


def _asked_for(target: Target, request: Request) -> list[int]:
    if request.run_id != target.run_id:
        node_id = _node(target, request)
        if target.epoch and node_id not in target.ended:
            raise RefusedOrderError(f"node {node_id!r} has not ended; it can be cancelled")
        return [target.graph.index[node_id]]
    every = range(len(target.graph.needed))
    bad = [each for each in every if (found := _state(target, each)) is None or OUTCOME[found] in _BAD]
    if not bad and not request.downstream:
        raise RefusedOrderError(f"no node of {target.run_id!r} failed; with downstream all of them run again")
    return bad or list(every)


def _to_mark(target: Target, request: Request) -> tuple[str, RunState]:
    if request.mark_as is None:
        raise RefusedOrderError("kind mark needs mark_as")
    node_id, to = _node(target, request), _MARKED[request.mark_as]
    if (before := target.ended.get(node_id)) and before.state is to:
        raise RefusedOrderError(f"node {node_id!r} is {to.value} already")
    if before:
        _refuse_if_open(target, {target.graph.index[node_id]})
    return node_id, to


def _node(target: Target, request: Request) -> str:
    node_id = (request.run_id or "").partition("/")[2]
    if node_id not in target.graph.index:
        version = f"version {target.graph.version} of DAG {target.graph.dag.dag_id!r}, which the DAG run uses"
        raise RefusedOrderError(f"{node_id!r} is no node of {version}")
    return node_id


def _state(target: Target, node: int) -> RunState | None:
    found = target.ended.get(target.graph.dag.nodes[node].node_id)
    return found.state if found else None


def _downstream(graph: Graph, first: Iterable[int], takes: Callable[[int], bool]) -> set[int]:
    """`first` and their dependent nodes, followed through nodes that `takes` accepts."""
    found = set(first)
    queue = deque(found)
    while queue:
        for child in graph.children[queue.popleft()]:
            if child not in found and takes(child):
                found.add(child)
                queue.append(child)
    return found


def _base(state: OwnerState, target: Target, again: set[int], request: Request, reason: str) -> EpochBase:
    before = target.epoch.base if target.epoch else None
    anew = {target.graph.dag.nodes[each].node_id for each in again}
    decided = {
        node_id: RerunNode(attempt=node.attempt, rerun_id=request.request_id)
        for node_id, node in target.ended.items()
        if node_id in anew
    }
    return EpochBase(
        as_of=state.next_token(),
        nodes={node_id: node for node_id, node in target.ended.items() if node_id not in anew},
        again=(before.again if before else {}) | decided,
        reasons=(before.reasons if before else {}) | {request.request_id: reason},
    )


def _continue_from(
    state: OwnerState, target: Target, base: EpochBase, request: Request, reason: Reason, now: datetime
) -> list[Effect]:
    if target.epoch is None:
        return _reopen(state, target, base, request, reason, now)
    epoch = Epoch(target.run_id, target.graph)
    epoch.base = base
    for node in target.epoch.open:
        run_id = node_run_id(target.run_id, target.graph.dag.nodes[node].node_id)
        epoch.count_transition(node, None, state.durable.runs[run_id].state)
    epoch.resume({})
    state.derived.epochs.by_run[target.run_id] = epoch
    _wake(state, target.run_id)
    return [PutEpoch(run_id=target.run_id, epoch=stored_epoch(epoch))]


def _reopen(
    state: OwnerState, target: Target, base: EpochBase, request: Request, reason: Reason, now: datetime
) -> list[Effect]:
    """Queue the ended DAG run again, as a new run with the same id."""
    new = NewRun(
        run_id=target.run_id,
        kind=RunKind.DAG,
        nominal_time=target.nominal_time,
        scheduled_time=target.nominal_time,
        request_id=request_of_run(target.run_id),
        payload=request.payload,
        rerun_id=request.request_id,
        traceparent=target.traceparent,
    )
    effects = create_run(state, state.durable.jobs[request.owner].spec, new, now, reason)
    if new.request_id is None:
        effects += cover_one(state, request.owner, target.nominal_time)
    state.derived.epochs.reopened[target.run_id] = base
    state.derived.epochs.last_reopened[target.run_id] = base.as_of
    stored = state.durable.requests[request.key]
    stored = msgspec.structs.replace(stored, reopened=target.run_id, as_of=base.as_of)
    state.durable.requests[request.key] = stored
    return [
        *effects,
        PutEpoch(run_id=target.run_id, epoch=StoredEpoch(version=0, base=base)),
        PutRequest(key=request.key, request=stored),
    ]


def _mark_open(
    state: OwnerState, target: Target, node_id: str, to: RunState, reason: Reason, now: datetime
) -> list[Effect]:
    run = state.durable.runs[node_run_id(target.run_id, node_id)]
    version = state.next_token()
    status = msgspec.structs.replace(run.status, version=version, reason=reason.text, reason_code=reason.code)
    run = msgspec.structs.replace(run, status=status, marked=to)
    return store_and_publish(state, run) + cancel_run(state, run, target.graph.job(node_id).cancel_grace, reason, now)


def _wake(state: OwnerState, run_id: RunId) -> None:
    state.derived.epochs.busy[run_id] = None
    state.step.touched_epochs[run_id] = None
