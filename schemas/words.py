"""The enums that SQL, records and code share: states, ends and policies."""

from __future__ import annotations

from enum import Enum


class RunState(Enum):
    QUEUED = "queued"
    RUNNING = "running"
    RETRY_WAIT = "retry_wait"
    CANCELLING = "cancelling"
    """Its process must stop and may still run."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    DEAD = "dead"
    SKIPPED = "skipped"
    MISSED = "missed"
    UPSTREAM_FAILED = "upstream_failed"
    """A node whose trigger rule cannot hold, because of how its dependencies ended."""

    __hash__ = object.__hash__  # Enum's own hash is slower, and each transition of a run needs several

    @property
    def is_final(self) -> bool:
        return self not in OPEN_STATES


OPEN_STATES = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.RETRY_WAIT, RunState.CANCELLING})
NEVER_RAN = frozenset({RunState.SKIPPED, RunState.MISSED, RunState.UPSTREAM_FAILED})


class AttemptEnd(Enum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    PROMOTED = "promoted"
    LOST = "lost"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"

    __hash__ = object.__hash__  # as a RunState's


class RunKind(Enum):
    SCHEDULED = "scheduled"
    REQUESTED = "requested"
    BACKFILL = "backfill"
    """A backfill: it has no process, and ends with the last of its runs."""
    BACKFILLED = "backfilled"
    """An occurrence that a backfill runs."""
    DAG = "dag"
    """A DAG run (an epoch)."""
    NODE = "node"
    """A node of a DAG run."""

    __hash__ = object.__hash__  # as a RunState's


class DefinitionKind(Enum):
    JOB = "job"
    DAG = "dag"


class TriggerRule(Enum):
    """When a node is dispatched, depending on how its dependencies ended in the same DAG run: docs/dags.md."""

    ALL_SUCCESS = "all_success"
    ALL_FAILED = "all_failed"
    ALL_DONE = "all_done"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    ONE_DONE = "one_done"
    NONE_FAILED = "none_failed"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    NONE_SKIPPED = "none_skipped"
    ALL_SKIPPED = "all_skipped"
    ALL_DONE_MIN_ONE_SUCCESS = "all_done_min_one_success"
    ALWAYS = "always"


class RequestKind(Enum):
    RUN = "run"
    """Run a job or a DAG, now or at a time."""
    CANCEL = "cancel"
    """Stop a run, or all open runs of a job: TERM, a grace period, KILL; queued runs never start."""
    TERMINATE = "terminate"
    """The same without a grace period."""
    RERUN = "rerun"
    """Run a run that has ended again, under its own id."""
    BACKFILL = "backfill"
    """Run the occurrences of a range of the past."""
    MARK = "mark"
    """Set what a node of a DAG run counts as."""


class MarkAs(Enum):
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"


class Reprocess(Enum):
    """Which occurrences that have had an attempt a backfill runs again."""

    NONE = "none"
    FAILED = "failed"
    COMPLETED = "completed"


class OnDelete(Enum):
    """What deleting a job does to its open runs."""

    FINISH = "finish"
    CANCEL = "cancel"


class OverlapPolicy(Enum):
    """What happens to an occurrence while a run of its job is open."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    """It waits until the open run ends; while one waits, others are skipped."""
    BUFFER_ALL = "buffer_all"
    """All wait in their order, up to `buffer_limit`."""
    CANCEL_OTHER = "cancel_other"
    """The open run is cancelled; the occurrence starts after its process has ended."""
    TERMINATE_OTHER = "terminate_other"
    """The same without a grace period."""
    ALLOW_ALL = "allow_all"
    """They run at the same time, up to `concurrency_limit`; others wait as with `buffer_all`."""


class CatchupPolicy(Enum):
    SKIP = "skip"
    LATEST = "latest"
    ALL = "all"


class DstGap(Enum):
    SHIFT = "shift"
    SKIP = "skip"


class DstFold(Enum):
    FIRST = "first"
    SECOND = "second"
    BOTH = "both"
