"""What the private topic `state` holds beside runs: all that the next owner of a partition must know (protocol O1)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.backfill import Backfill
from schemas.dag import DagSpec
from schemas.ids import RequestId, RunId, request_run_id
from schemas.job import JobSpec
from schemas.request import Request
from schemas.result import Result
from schemas.times import EPOCH
from schemas.words import DefinitionKind, RunState
from streams.core.policy.intervals import Interval


class StoredJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The newest version of a definition. A deleted one is kept for the request TTL (protocol I2)."""

    version: int
    valid_from: datetime
    since: datetime
    """This version decides occurrences after `since`; those up to it were decided under the version before."""
    deleted: bool
    spec: JobSpec
    """Of a deleted job the last one: its open runs may still need it. Of a DAG what its clock goes by."""
    dag: DagSpec | None = None
    """None: it is a job."""
    covered: tuple[Interval, ...] = ()
    """Of a pause, what backfills and reruns have made runs of meanwhile; in order, and none touches another."""


class StoredNode(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A node of an open DAG run that has ended, or never runs."""

    state: RunState
    passed: Result | None = None
    """What those that depend on it get: a small value, or an address."""
    next_nodes: tuple[str, ...] | None = None
    """It chose: to those that depend on it and are not named here it counts as skipped."""
    attempt: int = 0
    """How many attempts it has had."""
    version: int = 0
    """Of its status."""


class NodeAgain(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A node that an order has decided again."""

    attempt: int = 0
    """How many attempts it has had."""
    rerun_id: str | None = None
    """The order."""


class EpochBase(msgspec.Struct, frozen=True, kw_only=True):
    """What the last order to run nodes again, or to mark one, left of an epoch: it goes on from here."""

    as_of: int
    """What is stored of nodes under versions up to this one is no longer true."""
    nodes: dict[str, StoredNode]
    """Those that had ended, and stay as they are."""
    again: dict[str, NodeAgain]
    reasons: dict[str, str]
    """By order: why nodes run again."""


class StoredEpoch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A DAG run that is open, beside its run; or one that has ended and waits to be open again."""

    version: int
    """Of the definition that it began with; 0: it has not begun."""
    ends_as: RunState | None = None
    """It was told to stop, and this is what it then is."""
    base: EpochBase | None = None
    """None: it began with nothing."""


class StoredChange(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a definition that is not applied yet."""

    version: int
    valid_from: datetime
    deleted: bool
    kind: DefinitionKind
    job: JobSpec | None
    dag: DagSpec | None


class StoredQuarantine(msgspec.Struct, frozen=True, kw_only=True):
    """A job or DAG in whose work the core has failed: all that is stored of it stays as it is (decision 19)."""

    reason: str
    tried_version: int
    """It has failed with every version of its definition up to this one."""
    change: StoredChange | None = None
    """The newest version that came since."""

    @property
    def is_to_be_tried(self) -> bool:
        return self.change is not None and self.change.version > self.tried_version


class Tally(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What policies count over the runs of a job; a job of which nothing needs counting has none."""

    made: int = 0
    """Occurrences that have become runs, if `max_runs` limits them."""
    is_finished: bool = False
    """They are all made, and that is recorded."""
    bad_in_a_row: int = 0
    """Runs that ended badly since the last success or the last change of the job."""
    stopped: str | None = None
    """Why occurrences are skipped until the job changes: `pause_on_failure`."""
    needed: tuple[str, ...] = ()
    """The classes that the latest runs needed, the last one last."""


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That a request id is known, and the request itself while it waits for its definition (protocol I4, I5)."""

    created_at: datetime
    source: str
    """The topic that it came from."""
    parked: Request | None = None
    parked_until: datetime | None = None
    parked_offset: int | None = None
    """Where it lies in `source`, for a refusal to say."""
    reopened: RunId | None = None
    """The DAG run that it opened again."""
    as_of: int = 0
    """Since when: an order that knows less of that DAG run is refused."""


class StoredBackfill(msgspec.Struct, frozen=True, kw_only=True):
    """How far a backfill that has not ended is."""

    request_id: RequestId
    job_id: str
    asked: Backfill
    total: int
    """Occurrences, those included that are left alone."""
    planned_through: datetime | None = None
    is_planned: bool = False
    """All its runs are there; before that, `asked` still knows what has run already."""
    runs: int = 0
    left: int = 0
    ended: int = 0
    unsuccessful: int = 0

    @property
    def run_id(self) -> RunId:
        """Of the run that stands for it."""
        return request_run_id(self.job_id, self.request_id)


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """How far an input topic is applied; `topic_id` tells a recreated topic from the old one (protocol O2)."""

    topic: str
    topic_id: str
    offset: int
    """Of the last record applied; -1: none."""


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """Where a tick was cut because its transaction was full (protocol O6)."""

    now: datetime
    """What `now` was when the tick began: lateness is judged by it, so that the rest is decided alike."""
    timer_key: str
    job_id: str
    decided_through: datetime
    """Of `job_id`. Timers with lesser keys, and jobs of this timer with lesser ids, are done up to `now`."""


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """The highest version and the latest time of the deletions that are not remembered any more (protocol I2)."""

    version: int
    valid_from: datetime


class StoredClock(msgspec.Struct, frozen=True, kw_only=True):
    watermark: datetime
    """W: every occurrence with a nominal time up to here has been decided."""
    cursor: Cursor | None
    token: int
    """The last fencing token and status version given out."""
    applied: tuple[Applied, ...]
    newest_requests: dict[str, datetime]
    """By source: the highest creation time of a request that was applied from it; what comes from there and is older by
    the TTL is refused (protocol I5). One source may be weeks behind another.
    """
    newest_definition: datetime = EPOCH
    """The latest time of a definition that was applied: deletions older by the TTL are forgotten (protocol I2)."""
    forgotten: Forgotten | None = None
    newest_version: int = 0
    """The highest version of a definition that was applied: a database with lower ones was restored (protocol I10)."""
    cluster_version: int = 0
    """Of the deployment's settings that the owner goes by."""
