"""The spec of a run: its job's newest definition, or its node in the version that its DAG run started with."""

from __future__ import annotations

from schemas.ids import OwnerId, dag_run_of
from schemas.job import JobSpec
from schemas.raw import Json
from schemas.result import Result
from streams.core.dag.epoch import Epoch
from streams.core.dag.node_results import results_for
from streams.core.runs.run import Run
from streams.core.state import OwnerState


def spec_of(state: OwnerState, run: Run) -> JobSpec:
    epoch = epoch_of(state, run)
    if epoch is None or run.status.node_id is None:
        return state.durable.jobs[OwnerId(run.status.job_id)].spec
    return epoch.graph.job(run.status.node_id)


def epoch_of(state: OwnerState, run: Run) -> Epoch | None:
    """The open DAG run of a node's run; None: the run is no node."""
    return None if run.status.node_id is None else state.derived.epochs.by_run[dag_run_of(run.run_id)]


def is_to_stop(state: OwnerState, run: Run) -> bool:
    """Whether it is a node of a DAG run that is being stopped, even if the node is not stopped yet."""
    epoch = epoch_of(state, run)
    return epoch is not None and epoch.ends_as is not None


def inputs_of(state: OwnerState, run: Run) -> tuple[JobSpec, Json, dict[str, Result | None] | None]:
    """Spec, payload and parents' results for the next attempt; results are None if the run depends on nothing.

    The payload comes from the request for the run, or for the whole DAG run; otherwise from the definition.
    """
    node_id = run.status.node_id
    if node_id is None:
        spec, results, asked_for = state.durable.jobs[OwnerId(run.status.job_id)].spec, None, run.payload
    else:
        dag_run = dag_run_of(run.status.run_id)
        epoch = state.derived.epochs.by_run[dag_run]
        spec, results, asked_for = (
            epoch.graph.job(node_id),
            results_for(epoch, node_id),
            state.durable.runs[dag_run].payload,
        )
    return spec, spec.payload if asked_for is None else asked_for, results
