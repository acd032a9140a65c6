"""The effects of a step, as values. The partition owner writes a batch of them in one transaction (protocol O6)."""

from __future__ import annotations

import msgspec

from schemas.control import Kill
from schemas.dag import DagSpec
from schemas.dispatch import Dispatch
from schemas.ids import OwnerId, RunId
from schemas.reasons import ProblemCode
from schemas.status import RunStatus
from streams.core.runs.run import Run
from streams.core.stored import (
    StoredBackfill,
    StoredEpoch,
    StoredJob,
    StoredNode,
    StoredQuarantine,
    StoredRequest,
    Tally,
)


class PutRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Publish the run's status, and store the run; a final run is deleted from `state`."""

    run: Run


class PublishStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Publish a status that never was an open run: a skipped occurrence, a missed range."""

    status: RunStatus


class PutJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    owner: OwnerId
    job: StoredJob | None
    """None: forget it."""


class PutTally(msgspec.Struct, frozen=True, kw_only=True):
    job_id: str
    tally: Tally | None
    """None: forget it."""


class PutRequest(msgspec.Struct, frozen=True, kw_only=True):
    key: RunId
    request: StoredRequest | None
    """None: forget it."""


class PutBackfill(msgspec.Struct, frozen=True, kw_only=True):
    run_id: RunId
    backfill: StoredBackfill | None
    """None: forget it."""


class PutDag(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a DAG that is not the newest but that open DAG runs use."""

    owner: OwnerId
    version: int
    dag: DagSpec | None
    """None: forget it."""


class PutEpoch(msgspec.Struct, frozen=True, kw_only=True):
    run_id: RunId
    epoch: StoredEpoch | None
    """None: forget it."""


class PutNode(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    run_id: RunId
    """The node's run id."""
    node: StoredNode | None
    """None: forget it."""


class PutQuarantine(msgspec.Struct, frozen=True, kw_only=True):
    owner: OwnerId
    quarantine: StoredQuarantine | None
    """None: the quarantine has ended."""


class SendDispatch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    dispatch: Dispatch


class SendKill(msgspec.Struct, frozen=True, kw_only=True):
    kill: Kill


class Origin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The record that held an input. The topic name has no prefix."""

    topic: str
    offset: int
    key: bytes | None
    value: bytes | None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Refuse an input: it has no effect, and operators see the reason."""

    code: ProblemCode
    reason: str
    """A sentence."""
    owner: str
    origin: Origin
    request_id: str | None = None
    """The id of a refused request."""


class ReportProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Report a job, a DAG or a run that needs an operator, without a faulty input."""

    code: ProblemCode
    reason: str
    """A sentence."""
    owner: str
    run: RunStatus | None = None
    """The run with the problem, or the run that triggered the report."""


class Forward(msgspec.Struct, frozen=True, kw_only=True):
    """Send a request that lies in the wrong partition to its home partition (protocol I6)."""

    origin: Origin
    owner: OwnerId
    home: int


Effect = (
    PutRun
    | PublishStatus
    | PutJob
    | PutTally
    | PutRequest
    | PutBackfill
    | PutDag
    | PutEpoch
    | PutNode
    | PutQuarantine
    | SendDispatch
    | SendKill
    | DeadLetter
    | ReportProblem
    | Forward
)
