"""DAG runs advance: they open, their nodes start or never run, ended nodes are counted, and the DAG runs end."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

import msgspec

from schemas.ids import OwnerId, node_run_id, owner_of_run
from schemas.reasons import ReasonCode
from schemas.result import Result
from schemas.status import RunStatus
from schemas.words import RunKind, RunState
from streams.core.dag.epoch import Epoch
from streams.core.dag.node_results import passed_on
from streams.core.dag.result import final_state_of, why_node_never_ran
from streams.core.dag.stop import stop_overdue, stored_epoch
from streams.core.dag.trigger import NodeDecision
from streams.core.dag.versions import drop_version, newest_graph
from streams.core.effects import Effect, PublishStatus, PutEpoch, PutNode, PutRun
from streams.core.reason import Reason
from streams.core.runs.cancel import AT_ONCE, cancel_run
from streams.core.runs.life import NewRun, blank_status, create_run, store_and_publish
from streams.core.runs.run import Run, reason_of, transition_to, why_stopped
from streams.core.runs.tally import count_end
from streams.core.state import OwnerState
from streams.core.stored import StoredNode


def advance_epochs(state: OwnerState, now: datetime) -> list[Effect]:
    """Do what follows from ended nodes, as much as fits the transaction; the next one continues."""
    effects = stop_overdue(state, now) + count_ended(state) + _forget_abandoned(state)
    room = state.transaction
    while state.derived.epochs.busy and room.nodes_room > 0 and not room.is_full:
        epoch = state.derived.epochs.by_run[next(iter(state.derived.epochs.busy))]
        state.current_job = owner_of_run(epoch.run_id)
        before = len(effects)
        room.nodes_room -= _advance(state, epoch, room.nodes_room, now, effects)
        effects += count_ended(state)
        room.spend(effects=len(effects) - before)
        if not (epoch.to_decide or epoch.to_stop):
            state.derived.epochs.busy.pop(epoch.run_id, None)
    return effects + _publish_touched(state, now) + _forget_nodes(state)


def _publish_touched(state: OwnerState, now: datetime) -> list[Effect]:
    effects: list[Effect] = []
    touched = state.step.touched_epochs
    while touched and not state.transaction.is_full:
        run_id = next(iter(touched))
        state.current_job = owner_of_run(run_id)
        del touched[run_id]
        published = _publish_status(state, state.derived.epochs.by_run[run_id], now)
        state.transaction.spend(effects=len(published))
        effects += published
    return effects


def open_epochs(state: OwnerState, now: datetime) -> list[Effect]:
    """Due DAG runs open, or wait for other DAG runs of their DAG to end."""
    effects: list[Effect] = []
    due, state.derived.epochs.due = state.derived.epochs.due, []
    for run_id in due:
        state.current_job = owner_of_run(run_id)
        run = state.durable.runs.get(run_id)
        if run is None or run.state is not RunState.QUEUED or run.held:
            continue
        # Stored nodes of its earlier life would be taken for nodes of the new one.
        if run_id in state.derived.epochs.to_forget or state.transaction.is_full:
            state.derived.epochs.due.append(run_id)
        else:
            opened = _open_or_hold(state, run, now)
            state.transaction.spend(effects=len(opened) + 1)  # its status is published once more below
            effects += opened
    return effects + advance_epochs(state, now)


def _open_or_hold(state: OwnerState, run: Run, now: datetime) -> list[Effect]:
    owner = OwnerId(run.status.job_id)
    limit = state.durable.jobs[owner].spec.concurrency_limit or 1
    if run.backfill_id is None and len(state.derived.epochs.by_dag.get(owner, ())) >= limit:
        text = f"waits until fewer than {limit} epochs are open" if limit != 1 else "waits for the epoch before it"
        reason = Reason(ReasonCode.MAX_ACTIVE_EPOCHS, text)
        status = transition_to(run.status, RunState.QUEUED, version=state.next_token(), at=now, reason=reason)
        return store_and_publish(state, msgspec.structs.replace(run, status=status, held=True))
    epoch = Epoch(run.run_id, newest_graph(state, owner))
    epoch.base = state.derived.epochs.reopened.pop(run.run_id, None)
    state.derived.epochs.add(run, epoch, now)
    epoch.resume({})
    state.step.touched_epochs[run.run_id] = None
    status = transition_to(run.status, RunState.RUNNING, version=state.next_token(), at=now)
    status = msgspec.structs.replace(status, started_at=now, nodes={}, dag_version=epoch.graph.version)
    effects = store_and_publish(state, msgspec.structs.replace(run, status=status))
    return [*effects, PutEpoch(run_id=run.run_id, epoch=stored_epoch(epoch))]


def count_ended(state: OwnerState) -> list[Effect]:
    """Count the nodes that ended since the last call in the nodes that depend on them."""
    effects: list[Effect] = []
    for epoch, node, run in state.step.node_ends:
        state.current_job = run.status.job_id
        passed = passed_on(run.status.result) if epoch.graph.children[node] else None
        stored = ended_node(run.status, passed)
        epoch.end(node, stored)
        effects.append(PutNode(run_id=run.run_id, node=stored))
        if epoch.to_decide or not epoch.not_ended:
            state.derived.epochs.busy[epoch.run_id] = None
    state.step.node_ends.clear()
    return effects


def _advance(state: OwnerState, epoch: Epoch, room: int, now: datetime, effects: list[Effect]) -> int:
    """Stop and decide nodes. Returns how many, at most `room`."""
    dag_run = state.durable.runs[epoch.run_id]
    done = 0
    while epoch.to_stop and done < room:
        effects += _stop_node(state, epoch, dag_run, epoch.to_stop.popleft(), now)
        done += 1
    while epoch.to_decide and done < room:
        effects += _decide(state, epoch, dag_run, epoch.to_decide.popleft(), now)
        done += 1
    return done


def _stop_node(state: OwnerState, epoch: Epoch, dag_run: Run, node: int, now: datetime) -> list[Effect]:
    spec = epoch.graph.dag.nodes[node]
    run = state.durable.runs.get(node_run_id(epoch.run_id, spec.node_id))
    if run is None:
        return []
    grace = AT_ONCE if dag_run.kill_grace == AT_ONCE else spec.cancel_grace
    return cancel_run(state, run, grace, why_stopped(dag_run.status), now)


def _decide(state: OwnerState, epoch: Epoch, dag_run: Run, node: int, now: datetime) -> list[Effect]:
    if epoch.ends_as:
        return _end_unstarted(state, epoch, dag_run, node, RunState.CANCELLED, now)
    match epoch.decision(node):
        case NodeDecision.START:
            new = _new_run(epoch, dag_run, node)
            return create_run(state, epoch.graph.jobs[node], new, now, epoch.rerun_reason(node))
        case NodeDecision.SKIP:
            return _end_unstarted(state, epoch, dag_run, node, RunState.SKIPPED, now)
        case NodeDecision.UPSTREAM_FAILED:
            return _end_unstarted(state, epoch, dag_run, node, RunState.UPSTREAM_FAILED, now)
        case NodeDecision.WAIT:
            raise AssertionError(f"{epoch.run_id}: node {node} is queued for a decision but must wait")
        case decision:
            assert_never(decision)


def _new_run(epoch: Epoch, dag_run: Run, node: int) -> NewRun:
    node_id = epoch.graph.dag.nodes[node].node_id
    before = epoch.rerun_node(node)
    return NewRun(
        run_id=node_run_id(epoch.run_id, node_id),
        kind=RunKind.NODE,
        node_id=node_id,
        nominal_time=dag_run.status.nominal_time,
        scheduled_time=dag_run.status.scheduled_time,
        lane=dag_run.lane,
        rerun_id=before.rerun_id or dag_run.status.rerun_id,
        traceparent=dag_run.status.traceparent,
        attempts=max(before.attempt, dag_run.status.attempt),
        filed_on=dag_run.status.filed,
    )


def _end_unstarted(
    state: OwnerState, epoch: Epoch, dag_run: Run, node: int, to: RunState, now: datetime
) -> list[Effect]:
    """The node never runs; the nodes that depend on it count it."""
    new = _new_run(epoch, dag_run, node)
    reason = why_stopped(dag_run.status) if epoch.ends_as else why_node_never_ran(epoch, node, to)
    blank = blank_status(epoch.graph.jobs[node], new)
    status = transition_to(blank, to, version=state.next_token(), at=now, reason=reason)
    epoch.count_transition(node, None, to)
    stored = ended_node(status, None)
    epoch.end(node, stored)
    state.step.touched_epochs[epoch.run_id] = None
    return [publish_node(status), PutNode(run_id=new.run_id, node=stored)]


def publish_node(status: RunStatus) -> Effect:
    """Publish the status of a node without an open run. A rerun node may have a stored run, which PutRun deletes."""
    if status.rerun_id is None:
        return PublishStatus(status=status)
    return PutRun(run=Run(status=status, due_at=status.scheduled_time))


def ended_node(status: RunStatus, passed: Result | None) -> StoredNode:
    return StoredNode(
        state=status.state,
        passed=passed,
        next_nodes=status.next_nodes,
        attempt=status.attempt,
        version=status.version,
    )


def _publish_status(state: OwnerState, epoch: Epoch, now: datetime) -> list[Effect]:
    """Publish the DAG run's status with the count of nodes by state; end the run if no node is left."""
    run = state.durable.runs[epoch.run_id]
    status = msgspec.structs.replace(run.status, version=state.next_token(), nodes=epoch.counts())
    if epoch.not_ended:
        return store_and_publish(state, msgspec.structs.replace(run, status=status))
    to, reason = final_state_of(epoch)
    status = transition_to(status, to, version=status.version, at=now, reason=reason or reason_of(status))
    run = msgspec.structs.replace(run, status=status)
    return [*store_and_publish(state, run), *count_end(state, run), *_close(state, epoch, OwnerId(status.job_id))]


def _close(state: OwnerState, epoch: Epoch, owner: OwnerId) -> list[Effect]:
    state.derived.epochs.remove(owner, epoch.run_id)
    state.derived.epochs.to_forget[epoch.run_id].extend(
        node_run_id(epoch.run_id, node.node_id) for node in epoch.graph.dag.nodes
    )
    return [PutEpoch(run_id=epoch.run_id, epoch=None), *drop_version(state, owner, epoch.graph.version)]


def _forget_nodes(state: OwnerState) -> list[Effect]:
    """Delete the stored nodes of ended DAG runs, in as many transactions as they need."""
    effects: list[Effect] = []
    room = state.transaction
    while state.derived.epochs.to_forget and room.nodes_room > 0 and not room.is_full:
        run_id, nodes = next(iter(state.derived.epochs.to_forget.items()))
        taken = min(room.nodes_room, len(nodes))
        effects += [PutNode(run_id=nodes.popleft(), node=None) for _ in range(taken)]
        room.nodes_room -= taken
        room.spend(effects=taken)
        if not nodes:
            del state.derived.epochs.to_forget[run_id]
    return effects


def _forget_abandoned(state: OwnerState) -> list[Effect]:
    abandoned, state.step.abandoned = state.step.abandoned, []
    return [PutEpoch(run_id=run_id, epoch=None) for run_id in abandoned]
