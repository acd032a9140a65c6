"""Versions of a DAG: a DAG run keeps the version that it started with; the last DAG run to end drops it."""

from __future__ import annotations

from schemas.ids import OwnerId
from streams.core.dag.graph import Graph, compile_dag
from streams.core.effects import Effect, PutDag
from streams.core.state import OwnerState
from streams.core.stored import StoredJob


def newest_graph(state: OwnerState, owner: OwnerId) -> Graph:
    """The graph for a DAG run that opens now."""
    stored = state.durable.jobs[owner]
    assert stored.dag is not None
    graph = state.derived.epochs.graphs.get((owner, stored.version))
    if graph is None:
        graph = state.derived.epochs.graphs[owner, stored.version] = compile_dag(stored.dag, stored.version)
    return graph


def keep_version(state: OwnerState, owner: OwnerId, replaced: StoredJob) -> list[Effect]:
    """Store the `replaced` version beside the newest one if DAG runs use it."""
    if (owner, replaced.version) in state.derived.epochs.versions:
        return [PutDag(owner=owner, version=replaced.version, dag=replaced.dag)]
    state.derived.epochs.graphs.pop((owner, replaced.version), None)
    return []


def drop_version(state: OwnerState, owner: OwnerId, version: int) -> list[Effect]:
    """Delete a version after a DAG run ended, unless it is the newest or another DAG run uses it."""
    newest = state.durable.jobs.get(owner)
    if (newest and newest.version == version) or (owner, version) in state.derived.epochs.versions:
        return []
    state.derived.epochs.graphs.pop((owner, version), None)
    return [PutDag(owner=owner, version=version, dag=None)]
