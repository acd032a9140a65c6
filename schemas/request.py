"""A request: run this job, stop that run, run it once more, let a node count. Its id is its idempotency key."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.backfill import Backfill
from schemas.ids import OwnerId, RequestId, RunId, request_run_id
from schemas.raw import Json, keep_json
from schemas.result import Result
from schemas.words import MarkAs, RequestKind, RunState


class NodeEnd(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What became of a node of a DAG run that has ended."""

    state: RunState
    attempt: int = 0
    """How many attempts it has had."""
    result: Result | None = None
    """What it hands on to those that depend on it."""
    next_nodes: tuple[str, ...] | None = None
    """It chose: which of those that depend on it are followed."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    request_id: RequestId
    owner: OwnerId
    job_id: str
    """Of a request for a DAG the DAG's id: what its runs have as their job."""
    created_at: datetime
    kind: RequestKind = RequestKind.RUN
    dag_id: str | None = None
    """The DAG, where one is named."""
    run_id: RunId | None = None
    """Which run is meant, for the kinds that mean one; None with `cancel` and `terminate`: all open runs of the
    job or DAG."""
    run_at: datetime | None = None
    """None: now."""
    payload: Json = None
    """Of `run`, `rerun` and `mark`; None: the job's, or each node's, own payload."""
    nominal_time: datetime | None = None
    """Of `rerun` and `mark`: that of the run, for the owner has forgotten it."""
    attempt: int = 0
    """Of `rerun`: how many attempts the run has had."""
    downstream: bool = False
    """Of `rerun` of a DAG run or node: with what depends on it, also where that succeeded."""
    mark_as: MarkAs | None = None
    """Of `mark`."""
    nodes: dict[str, NodeEnd] | None = None
    """Of `rerun` and `mark` in a DAG run that has ended: by node, for the owner has forgotten them."""
    seen_version: int = 0
    """With `nodes`: that of the DAG run's status. What an order has changed since must not be undone."""
    backfill: Backfill | None = None
    """Of `backfill`."""
    note: str | None = None
    """Why, for people; shown with what it did."""

    def __post_init__(self) -> None:
        keep_json(self, "payload")

    @property
    def key(self) -> RunId:
        """An id is one of its job's or DAG's (protocol I8). If it asks for a run, this is that run's id."""
        return request_run_id(self.owner, self.request_id)
