"""A job, with the columns of `tidemill.jobs`, and a version of it from `tidemill.definitions`."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from schemas.confinement import NOTHING_ASKED, Confinement, Network, Sandbox
from schemas.dag import DagSpec
from schemas.ids import OwnerId
from schemas.raw import Json, keep_json
from schemas.words import CatchupPolicy, DefinitionKind, DstFold, DstGap, OnDelete, OverlapPolicy


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The columns of `tidemill.jobs`, under the same names. In JSON durations are ISO 8601, instants RFC 3339."""

    job_id: str
    executable: str
    tenant: str = "default"
    schedule: str | None = None
    """None: only requests start runs."""
    timezone: str = "UTC"
    sha256: str | None = None
    """None: any content of the object."""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    payload: Json = None
    timeout: timedelta | None = None
    timeout_class: str | None = None
    promote: bool = True
    """False: a run that reaches the limit of its class is `timed_out`."""
    max_attempts: int = 1
    initial_interval: timedelta = timedelta(seconds=1)
    backoff_coefficient: float = 2.0
    max_interval: timedelta = timedelta(minutes=1)
    retry_jitter: float = 0.1
    """The random share of the wait that is added to it, 0 to 1."""
    non_retryable_exit_codes: tuple[int, ...] = ()
    max_infra_retries: int = 10
    max_retry_duration: timedelta | None = None
    """No attempt starts later than this after the first one; None: no limit of time."""
    overlap_policy: OverlapPolicy = OverlapPolicy.SKIP
    buffer_limit: int = 1000
    """How many occurrences may wait for open runs to end."""
    concurrency_limit: int | None = None
    """How many runs may be open at once with `allow_all`; None: no limit."""
    cancel_grace: timedelta = timedelta(seconds=30)
    """Time between TERM and KILL of a cancelled process."""
    on_delete: OnDelete = OnDelete.FINISH
    catchup_policy: CatchupPolicy = CatchupPolicy.LATEST
    catchup_window: timedelta = timedelta(hours=24)
    catchup_after_pause: CatchupPolicy = CatchupPolicy.SKIP
    """Which occurrences of a pause run when it ends."""
    misfire_grace: timedelta = timedelta(seconds=60)
    start_deadline: timedelta | None = None
    """An occurrence that has not started this long after its time is missed; None: it may start at any time."""
    jitter: timedelta = timedelta(0)
    dst_gap: DstGap = DstGap.SHIFT
    dst_fold: DstFold | None = None
    """None: `first` for fixed hours, `both` for wildcard hours."""
    max_runs: int | None = None
    """This many occurrences become runs, and no more; None: no limit."""
    pause_on_failure: int | None = None
    """After this many consecutive failed runs, occurrences are skipped until the job changes; None: never."""
    resumed_at: datetime | None = None
    """A new value has no other effect than to be a change of the job."""
    paused: bool = False
    paused_note: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    sandbox: Sandbox | None = None
    """`basic` or `strict`; None: the default of the executor."""
    memory: int | None = None
    """Bytes."""
    disk: int | None = None
    """Bytes in the working directory of an attempt."""
    cpu: float | None = None
    """Cores."""
    pids: int | None = None
    """Processes and threads of an attempt at once."""
    network: Network | None = None
    unveil: tuple[str, ...] = ()
    """Paths that an attempt may use besides its own, such as `r:/srv/www`."""

    def __post_init__(self) -> None:
        keep_json(self, "payload")

    @property
    def confinement(self) -> Confinement | None:
        """What its attempts ask of an executor; None: nothing but its default."""
        asked = Confinement(
            sandbox=self.sandbox,
            memory=self.memory,
            disk=self.disk,
            cpu=self.cpu,
            pids=self.pids,
            network=self.network,
            unveil=self.unveil,
        )
        return None if asked == NOTHING_ASKED else asked


class Definition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One version of a job or DAG; `version` comes from one sequence for all (protocol I2)."""

    owner: OwnerId
    version: int
    valid_from: datetime
    deleted: bool
    spec: JobSpec | DagSpec | None
    """None: deleted."""
    kind: DefinitionKind = DefinitionKind.JOB
