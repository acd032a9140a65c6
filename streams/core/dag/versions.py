"""Which version of a DAG its epochs go by: the one that they began with, kept until the last of them has ended."""

from __future__ import annotations

from schemas.ids import OwnerId
from streams.core.dag.graph import Graph, compile_dag
from streams.core.effects import Effect, PutDag
from streams.core.state import OwnerState
from streams.core.stored import StoredJob


def newest_graph(state: OwnerState, owner: OwnerId) -> Graph:
    """What an epoch that opens now goes by."""
    stored = state.durable.jobs[owner]
    assert stored.dag is not None
    graph = state.derived.epochs.graphs.get((owner, stored.version))
    if graph is None:
        graph = state.derived.epochs.graphs[owner, stored.version] = compile_dag(stored.dag, stored.version)
    return graph


def keep_version(state: OwnerState, owner: OwnerId, replaced: StoredJob) -> list[Effect]:
    """`replaced` is no longer the newest version: if epochs go by it, it is stored beside the newest."""
    if (owner, replaced.version) in state.derived.epochs.versions:
        return [PutDag(owner=owner, version=replaced.version, dag=replaced.dag)]
    state.derived.epochs.graphs.pop((owner, replaced.version), None)
    return []


def drop_version(state: OwnerState, owner: OwnerId, version: int) -> list[Effect]:
    """An epoch that went by it has ended."""
    newest = state.durable.jobs.get(owner)
    if (newest and newest.version == version) or (owner, version) in state.derived.epochs.versions:
        return []
    state.derived.epochs.graphs.pop((owner, version), None)
    return [PutDag(owner=owner, version=version, dag=None)]
