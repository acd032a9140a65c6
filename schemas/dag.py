"""A DAG: its rows in `tidemill.dags` and `tidemill.dag_nodes`, compiled into one value."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from schemas.confinement import Network, Sandbox
from schemas.errors import TidemillError
from schemas.raw import Json, keep_json
from schemas.words import CatchupPolicy, DstFold, DstGap, OnDelete, OverlapPolicy, TriggerRule

MAX_NODES = 10_000
"""The most nodes of a DAG; `tidemill.check_node_names` (tables/0012_dags.sql) has the same limit."""


class InvalidDagError(TidemillError):
    """A DAG's nodes are not in an order in which they can run."""


class NodeSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The columns of `tidemill.dag_nodes`, under the same names.

    The record leaves out fields with default values, because 10,000 nodes must fit. So a default must never change.
    """

    node_id: str
    executable: str
    depends_on: tuple[str, ...] = ()
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS
    sha256: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    payload: Json = None
    timeout: timedelta | None = None
    timeout_class: str | None = None
    promote: bool = True
    max_attempts: int = 1
    initial_interval: timedelta = timedelta(seconds=1)
    backoff_coefficient: float = 2.0
    max_interval: timedelta = timedelta(minutes=1)
    retry_jitter: float = 0.1
    non_retryable_exit_codes: tuple[int, ...] = ()
    skip_exit_codes: tuple[int, ...] = ()
    """With one of these the node succeeds, and the nodes that depend on it are skipped."""
    max_infra_retries: int = 10
    max_retry_duration: timedelta | None = None
    cancel_grace: timedelta = timedelta(seconds=30)
    sandbox: Sandbox | None = None
    memory: int | None = None
    disk: int | None = None
    cpu: float | None = None
    pids: int | None = None
    network: Network | None = None
    unveil: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        keep_json(self, "payload")


class DagSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The columns of `tidemill.dags`, under the same names, and the nodes."""

    dag_id: str
    nodes: tuple[NodeSpec, ...]
    """Each node comes after all nodes that it depends on."""
    tenant: str = "default"
    schedule: str | None = None
    """None: only requests start runs."""
    timezone: str = "UTC"
    overlap_policy: OverlapPolicy = OverlapPolicy.SKIP
    """What happens to an occurrence while `max_active_epochs` DAG runs are open."""
    buffer_limit: int = 1000
    """How many occurrences may wait for open DAG runs to end."""
    max_active_epochs: int = 1
    dag_timeout: timedelta | None = None
    """The longest that a DAG run may be open: then its open nodes are cancelled, and it is `timed_out`."""
    on_delete: OnDelete = OnDelete.FINISH
    catchup_policy: CatchupPolicy = CatchupPolicy.LATEST
    catchup_window: timedelta = timedelta(hours=24)
    catchup_after_pause: CatchupPolicy = CatchupPolicy.SKIP
    misfire_grace: timedelta = timedelta(seconds=60)
    start_deadline: timedelta | None = None
    jitter: timedelta = timedelta(0)
    dst_gap: DstGap = DstGap.SHIFT
    dst_fold: DstFold | None = None
    max_runs: int | None = None
    pause_on_failure: int | None = None
    resumed_at: datetime | None = None
    paused: bool = False
    paused_note: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


def check_order(dag: DagSpec) -> None:
    """Raises `InvalidDagError` unless each node comes once and after its dependencies, so that there is no cycle."""
    before: set[str] = set()
    for node in dag.nodes:
        for needed in node.depends_on:
            if needed not in before:
                raise InvalidDagError(
                    f"dag {dag.dag_id!r}: node {node.node_id!r} comes before {needed!r}, its dependency"
                )
        if node.node_id in before:
            raise InvalidDagError(f"dag {dag.dag_id!r}: node {node.node_id!r} comes twice")
        before.add(node.node_id)
    if not 1 <= len(before) <= MAX_NODES:
        raise InvalidDagError(f"dag {dag.dag_id!r} has {len(before)} nodes: allowed are 1 to {MAX_NODES}")
