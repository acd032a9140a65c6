"""A job as its row in `tidemill.jobs` says it, and a version of it as `tidemill.definitions` records it."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from schemas.dag import DagSpec
from schemas.ids import OwnerId
from schemas.raw import Json, keep_json
from schemas.words import CatchupPolicy, DefinitionKind, DstFold, DstGap, OnDelete, OverlapPolicy


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The columns of `tidemill.jobs`, under the same names. Durations are ISO 8601 on the wire, instants RFC 3339."""

    job_id: str
    executable: str
    tenant: str = "default"
    schedule: str | None = None
    """None: runs only on request."""
    timezone: str = "UTC"
    sha256: str | None = None
    """None: whatever the object is when it is fetched."""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    payload: Json = None
    timeout: timedelta | None = None
    timeout_class: str | None = None
    promote: bool = True
    """False: a run that reaches the limit of its class has timed out."""
    max_attempts: int = 1
    initial_interval: timedelta = timedelta(seconds=1)
    backoff_coefficient: float = 2.0
    max_interval: timedelta = timedelta(minutes=1)
    retry_jitter: float = 0.1
    """The share of the interval by which a retry may be later: 0 to 1."""
    non_retryable_exit_codes: tuple[int, ...] = ()
    max_infra_retries: int = 10
    max_retry_duration: timedelta | None = None
    """No attempt begins so long after the first one; None: the numbers of attempts are the limit."""
    overlap_policy: OverlapPolicy = OverlapPolicy.SKIP
    buffer_limit: int = 1000
    """How many occurrences may wait for others to end."""
    concurrency_limit: int | None = None
    """How many runs may be open at once with `allow_all`; None: any number."""
    cancel_grace: timedelta = timedelta(seconds=30)
    """Between TERM and KILL of a cancelled process."""
    on_delete: OnDelete = OnDelete.FINISH
    catchup_policy: CatchupPolicy = CatchupPolicy.LATEST
    catchup_window: timedelta = timedelta(hours=24)
    catchup_after_pause: CatchupPolicy = CatchupPolicy.SKIP
    """What becomes of the occurrences of a pause when it ends."""
    misfire_grace: timedelta = timedelta(seconds=60)
    start_deadline: timedelta | None = None
    """An occurrence that has not started so long after its time is missed; None: it may start at any time."""
    jitter: timedelta = timedelta(0)
    dst_gap: DstGap = DstGap.SHIFT
    dst_fold: DstFold | None = None
    """None: `first` for fixed hours, `both` for wildcard hours."""
    max_runs: int | None = None
    """So many occurrences become runs, and no more; None: any number."""
    pause_on_failure: int | None = None
    """After so many runs in a row that ended badly, occurrences are skipped until the job changes; None: never."""
    resumed_at: datetime | None = None
    """A new value is a change, and nothing else."""
    paused: bool = False
    paused_note: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def __post_init__(self) -> None:
        keep_json(self, "payload")


class Definition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One version of one definition; `version` comes from one sequence (protocol I2)."""

    owner: OwnerId
    version: int
    valid_from: datetime
    deleted: bool
    spec: JobSpec | DagSpec | None
    """None when deleted."""
    kind: DefinitionKind = DefinitionKind.JOB
