"""A DAG's definition, indexed once per version: nodes are numbers, with their dependent nodes."""

from __future__ import annotations

import msgspec

from schemas.dag import DagSpec, NodeSpec
from schemas.job import JobSpec
from schemas.words import TriggerRule


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    dag: DagSpec
    version: int
    index: dict[str, int]
    """By node id: its index in `dag.nodes`, which is the node's number."""
    children: tuple[tuple[int, ...], ...]
    rules: tuple[TriggerRule, ...]
    needed: tuple[int, ...]
    """How many dependencies a node has."""
    jobs: tuple[JobSpec, ...]
    """By node: its spec, in the form of a job."""

    def job(self, node_id: str) -> JobSpec:
        return self.jobs[self.index[node_id]]


def compile_dag(dag: DagSpec, version: int) -> Graph:
    """O(nodes + edges)."""
    index = {node.node_id: number for number, node in enumerate(dag.nodes)}
    children: list[list[int]] = [[] for _ in dag.nodes]
    for number, node in enumerate(dag.nodes):
        for parent in node.depends_on:
            children[index[parent]].append(number)
    return Graph(
        dag=dag,
        version=version,
        index=index,
        children=tuple(map(tuple, children)),
        rules=tuple(node.trigger_rule for node in dag.nodes),
        needed=tuple(len(node.depends_on) for node in dag.nodes),
        jobs=tuple(job_of_node(dag, node) for node in dag.nodes),
    )


_CLOCK_FIELDS = tuple(name for name in DagSpec.__struct_fields__ if name in JobSpec.__struct_fields__)
_NODE_FIELDS = tuple(name for name in NodeSpec.__struct_fields__ if name in JobSpec.__struct_fields__)
"""Fields with the same name mean the same."""


def job_of_dag(dag: DagSpec) -> JobSpec:
    """A DAG as the schedule and the policies see it: a job without an executable."""
    shared = {name: getattr(dag, name) for name in _CLOCK_FIELDS}
    return JobSpec(job_id=dag.dag_id, executable="", concurrency_limit=dag.max_active_epochs, **shared)


def job_of_node(dag: DagSpec, node: NodeSpec) -> JobSpec:
    shared = {name: getattr(node, name) for name in _NODE_FIELDS}
    return JobSpec(job_id=dag.dag_id, tenant=dag.tenant, **shared)
