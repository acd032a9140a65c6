"""The values of the private topic `state`, except runs, from which the next owner recovers (protocol O1)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.backfill import Backfill
from schemas.dag import DagSpec
from schemas.digest import DefinitionDigest
from schemas.ids import RequestId, RunId, request_run_id
from schemas.job import JobSpec
from schemas.request import Request
from schemas.result import Result
from schemas.times import EPOCH
from schemas.words import DefinitionKind, RunState
from streams.core.policy.intervals import Interval


class StoredJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The newest version of a definition. A deleted job is kept for the request TTL (protocol I2)."""

    version: int
    valid_from: datetime
    since: datetime
    """This version decides occurrences after `since`; the version before decided those up to it."""
    deleted: bool
    spec: JobSpec
    """A deleted job keeps its last spec, because open runs may need it. A DAG has its schedule and policies here."""
    dag: DagSpec | None = None
    """None: the definition is a job."""
    covered: tuple[Interval, ...] = ()
    """Parts of the current pause that backfills and reruns have run; sorted, none touches another."""


class StoredNode(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A node of an open DAG run that has ended or never runs."""

    state: RunState
    passed: Result | None = None
    """The result for dependent nodes: a small value or an address."""
    next_nodes: tuple[str, ...] | None = None
    """The dependent nodes that it chose; for all others it counts as skipped. None: it did not choose."""
    attempt: int = 0
    """How many attempts it has had."""
    version: int = 0
    """The version of its status."""


class RerunNode(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A node that a request runs again."""

    attempt: int = 0
    """How many attempts it has had."""
    rerun_id: str | None = None
    """The request id."""


class EpochBase(msgspec.Struct, frozen=True, kw_only=True):
    """What remains of a DAG run after the last rerun or mark: the DAG run continues from here."""

    as_of: int
    """Stored nodes with versions up to this one are obsolete."""
    nodes: dict[str, StoredNode]
    """By node: ended nodes that stay as they are."""
    again: dict[str, RerunNode]
    reasons: dict[str, str]
    """By request id: why nodes run again."""


class StoredEpoch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An open DAG run, stored beside its `Run`; or an ended one that waits to open again."""

    version: int
    """The version of the definition that it started with; 0: it has not started."""
    ends_as: RunState | None = None
    """It is being stopped, and ends in this state."""
    base: EpochBase | None = None
    """None: no request ran nodes again or marked one."""


class StoredChange(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a definition that is not applied yet."""

    version: int
    valid_from: datetime
    deleted: bool
    kind: DefinitionKind
    job: JobSpec | None
    dag: DagSpec | None


class StoredQuarantine(msgspec.Struct, frozen=True, kw_only=True):
    """A job or DAG on which the core failed: its stored state stays as it is (decision 19)."""

    reason: str
    tried_version: int
    """The core failed with every version of the definition up to this one."""
    change: StoredChange | None = None
    """The newest version that arrived since."""

    @property
    def is_to_be_tried(self) -> bool:
        return self.change is not None and self.change.version > self.tried_version


class Tally(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What policies count over the runs of a job. A job without such counts has no tally."""

    made: int = 0
    """How many occurrences have become runs, if `max_runs` limits them."""
    is_finished: bool = False
    """All `max_runs` runs are made, and the reason is published."""
    bad_in_a_row: int = 0
    """How many runs ended badly since the last success or the last change of the job."""
    stopped: str | None = None
    """Why occurrences are skipped until the job changes: `pause_on_failure`."""
    needed: tuple[str, ...] = ()
    """The timeout classes that the latest runs needed, the newest last."""


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A known request id, and the request itself while it waits for its definition (protocol I4, I5)."""

    created_at: datetime
    source: str
    """The topic that the request came from."""
    parked: Request | None = None
    parked_until: datetime | None = None
    parked_offset: int | None = None
    """Its offset in `source`, for a refusal."""
    reopened: RunId | None = None
    """The DAG run that the request opened again."""
    as_of: int = 0
    """Refuse requests that know an older version of that DAG run than this."""


class StoredBackfill(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of an open backfill."""

    request_id: RequestId
    job_id: str
    asked: Backfill
    total: int
    """All its occurrences, including those that it leaves alone."""
    planned_through: datetime | None = None
    is_planned: bool = False
    """All its runs are made. Until then, `asked.ran` holds the occurrences that had run before."""
    runs: int = 0
    left: int = 0
    ended: int = 0
    unsuccessful: int = 0

    @property
    def run_id(self) -> RunId:
        """The id of the run that represents the backfill."""
        return request_run_id(self.job_id, self.request_id)


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """The offset up to which an input topic is applied; `topic_id` detects a recreated topic (protocol O2)."""

    topic: str
    topic_id: str
    offset: int
    """The last applied record; -1: none."""


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """Where a tick stopped because its transaction was full (protocol O6)."""

    now: datetime
    """The `now` with which the tick started; lateness is measured against it."""
    timer_key: str
    job_id: str
    decided_through: datetime
    """`job_id` is decided up to here. Timers with smaller keys, and this timer's jobs with smaller ids, up to `now`."""


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """The highest version and the latest time of all forgotten deletions (protocol I2)."""

    version: int
    valid_from: datetime


class StoredClock(msgspec.Struct, frozen=True, kw_only=True):
    watermark: datetime
    """W: every occurrence with a nominal time up to here has been decided."""
    cursor: Cursor | None
    token: int
    """The last fencing token or status version that was assigned."""
    applied: tuple[Applied, ...]
    newest_requests: dict[str, datetime]
    """By source topic: the latest creation time of an applied request. A request from there that is older by the TTL is
    refused (protocol I5). One source may be weeks behind another.
    """
    newest_definition: datetime = EPOCH
    """The latest `valid_from` of an applied definition; deletions older by the TTL are forgotten (protocol I2)."""
    forgotten: Forgotten | None = None
    newest_version: int = 0
    """The highest version of a definition that was read; a database with lower ones was restored (protocol I10)."""
    cluster_version: int = 0
    """The version of the deployment's settings that the owner uses."""
    digest: DefinitionDigest | None = None
    """Of the definitions that were read. None: an older release wrote the clock. Recovery computes it from `def/…`."""
