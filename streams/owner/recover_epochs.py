"""Rebuilds epochs from `state`: the header, the ended nodes, and the runs of the open nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from schemas.codec import decode
from schemas.dag import DagSpec
from schemas.ids import OwnerId, RunId, dag_run_of, owner_of_run
from streams.core.dag.epoch import Epoch
from streams.core.dag.graph import Graph, compile_dag
from streams.core.state import OwnerState
from streams.core.stored import StoredEpoch, StoredNode
from streams.owner.failures import BlameJob
from streams.owner.transaction_records import EPOCH_PREFIX, VERSION_PREFIX


def restore_epochs(state: OwnerState, latest: Mapping[str, bytes]) -> None:
    """Call this before the runs of the nodes are restored: those runs need their epoch."""
    for run_id, value in _keys(latest):
        if dag_run_of(run_id) == run_id:
            with BlameJob(owner_of_run(run_id)):
                _restore_epoch(state, run_id, decode(value, StoredEpoch), latest)


def _restore_epoch(state: OwnerState, run_id: RunId, header: StoredEpoch, latest: Mapping[str, bytes]) -> None:
    run = state.durable.runs[run_id]
    if header.base and not header.version:
        state.derived.epochs.reopened[run_id] = header.base
        return
    epoch = Epoch(run_id, _graph(state, OwnerId(run.status.job_id), header.version, latest))
    epoch.ends_as, epoch.base = header.ends_as, header.base
    state.derived.epochs.add(run, epoch, run.status.started_at or run.status.scheduled_time)


def resume_epochs(state: OwnerState, latest: Mapping[str, bytes]) -> None:
    """Call this after the runs of the nodes are restored: the ended and open nodes say what to start and stop next."""
    ended: dict[RunId, dict[str, StoredNode]] = {run_id: {} for run_id in state.derived.epochs.by_run}
    for run_id, value in _keys(latest):
        dag_run_id = dag_run_of(run_id)
        if dag_run_id == run_id:
            continue
        if dag_run_id not in state.derived.epochs.by_run:
            state.derived.epochs.to_forget[dag_run_id].append(run_id)
            continue
        with BlameJob(owner_of_run(run_id)):
            base, node = state.derived.epochs.by_run[dag_run_id].base, decode(value, StoredNode)
        if base is None or node.version > base.as_of:
            ended[dag_run_id][run_id.removeprefix(dag_run_id + "/")] = node
    for run_id, nodes in ended.items():
        with BlameJob(owner_of_run(run_id)):
            state.derived.epochs.by_run[run_id].resume(nodes)
        state.step.touched_epochs[run_id] = None


def _keys(latest: Mapping[str, bytes]) -> Iterator[tuple[RunId, bytes]]:
    for key, value in latest.items():
        if key.startswith(EPOCH_PREFIX):
            yield RunId(key.removeprefix(EPOCH_PREFIX)), value


def _graph(state: OwnerState, owner: OwnerId, version: int, latest: Mapping[str, bytes]) -> Graph:
    known = state.derived.epochs.graphs.get((owner, version))
    if known is not None:
        return known
    stored = state.durable.jobs.get(owner)
    kept = latest.get(f"{VERSION_PREFIX}{owner}/{version}")
    dag = stored.dag if stored and stored.version == version else kept and decode(kept, DagSpec)
    assert dag, f"{owner}: version {version} of its definition is missing, and open epochs use it"
    graph = state.derived.epochs.graphs[owner, version] = compile_dag(dag, version)
    return graph
