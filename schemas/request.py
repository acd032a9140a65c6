"""A request: run a job or DAG, stop a run, run it again, mark a node, or backfill. Its id is its idempotency key."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.backfill import Backfill
from schemas.ids import OwnerId, RequestId, RunId, request_run_id
from schemas.raw import Json, keep_json
from schemas.result import Result
from schemas.words import MarkAs, RequestKind, RunState


class NodeEnd(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """How a node ended in a DAG run that has ended."""

    state: RunState
    attempt: int = 0
    """How many attempts the node has had."""
    result: Result | None = None
    """The result that the node passes to its dependent nodes."""
    next_nodes: tuple[str, ...] | None = None
    """The dependent nodes that the node chose; the others are skipped."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    request_id: RequestId
    owner: OwnerId
    job_id: str
    """The job's id; for a request for a DAG the DAG's id, which its runs have as their `job_id`."""
    created_at: datetime
    kind: RequestKind = RequestKind.RUN
    """`schemas.request_rules.OF_KINDS` says which fields only some kinds have."""
    dag_id: str | None = None
    """The DAG's id, if the request names a DAG."""
    run_id: RunId | None = None
    """The run to stop, rerun or mark; None with `cancel` and `terminate`: all open runs of the job or DAG."""
    run_at: datetime | None = None
    """The earliest start of a `run`; None: now."""
    payload: Json = None
    """The payload; None: the payload of the job, or of each node."""
    nominal_time: datetime | None = None
    """The run's nominal time, which the owner no longer knows."""
    attempt: int = 0
    """How many attempts the run has had."""
    downstream: bool = False
    """For `rerun` of a DAG run or node: also run all dependent nodes again, even if they succeeded."""
    mark_as: MarkAs | None = None
    """What the node counts as."""
    nodes: dict[str, NodeEnd] | None = None
    """For `rerun` and `mark` in a DAG run that has ended: how its nodes ended, which the owner no longer knows."""
    seen_version: int = 0
    """With `nodes`: the version of the DAG run's status, so that the request does not undo later changes."""
    backfill: Backfill | None = None
    """For `backfill`: its range and its rules."""
    traceparent: str | None = None
    """The trace that the run becomes a part of (W3C Trace Context); None: a trace of its own."""
    note: str | None = None
    """Why, for users; it becomes the reason of what the request does."""

    def __post_init__(self) -> None:
        keep_json(self, "payload")

    @property
    def key(self) -> RunId:
        """Identifies the request: its id is unique only within a job or DAG (protocol I8). A new run has this id."""
        return request_run_id(self.owner, self.request_id)
