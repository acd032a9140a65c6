"""What a step wants done, as values; a batch of them goes out in one transaction (protocol O6)."""

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
    """Publish the run's status and store the run, or forget it when it is final."""

    run: Run


class PublishStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Publish what never was an open run: an occurrence that was skipped, a range that was missed."""

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
    """A version of a DAG that is no longer the newest, and that open epochs go by."""

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
    """Of the node."""
    node: StoredNode | None
    """None: forget it."""


class PutQuarantine(msgspec.Struct, frozen=True, kw_only=True):
    owner: OwnerId
    quarantine: StoredQuarantine | None
    """None: its work goes on."""


class SendDispatch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    dispatch: Dispatch


class SendKill(msgspec.Struct, frozen=True, kw_only=True):
    kill: Kill


class Origin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The record that an input came in; topic names have no prefix."""

    topic: str
    offset: int
    key: bytes | None
    value: bytes | None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Set an input aside: it has no effect, and people read what is wrong with it."""

    code: ProblemCode
    reason: str
    """A sentence."""
    owner: str
    origin: Origin
    request_id: str | None = None
    """Of a request that is refused."""


class ReportProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Tell people of a job, a DAG or a run that needs them; no input is to blame."""

    code: ProblemCode
    reason: str
    """A sentence."""
    owner: str
    run: RunStatus | None = None
    """The one that it is about, or that was the last straw."""


class Forward(msgspec.Struct, frozen=True, kw_only=True):
    """Hand a request that lies in the wrong partition to its home (protocol I6)."""

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
