"""The closed vocabularies of the design: states, ends and policies, as they are written in SQL, topics and code."""

from __future__ import annotations

from enum import Enum


class RunState(Enum):
    QUEUED = "queued"
    RUNNING = "running"
    RETRY_WAIT = "retry_wait"
    CANCELLING = "cancelling"
    """Told to stop; its process may still be there."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    DEAD = "dead"
    SKIPPED = "skipped"
    MISSED = "missed"
    UPSTREAM_FAILED = "upstream_failed"
    """A node whose trigger rule can no longer hold, because of what it depends on."""

    __hash__ = object.__hash__  # a member is one object; Enum's own is Python, and each move of a run asks for several

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
    """No process: it stands for its runs, and ends with the last of them."""
    BACKFILLED = "backfilled"
    """An occurrence that runs because of a backfill."""
    DAG = "dag"
    """A DAG run: one epoch."""
    NODE = "node"
    """Of a DAG run."""

    __hash__ = object.__hash__  # as a RunState's


class DefinitionKind(Enum):
    JOB = "job"
    DAG = "dag"


class TriggerRule(Enum):
    """When a node is dispatched, by what became of its dependencies in the same epoch: docs/dags.md."""

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
    """Stop a run, or all open runs of a job: TERM, a grace, KILL; what has not started never starts."""
    TERMINATE = "terminate"
    """The same without a grace."""
    RERUN = "rerun"
    """Run a run that has ended once more, under its own id."""
    BACKFILL = "backfill"
    """Run the occurrences of a stretch of the past."""
    MARK = "mark"
    """Say what a node of a DAG run counts as."""


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
    """It waits for the end of what is open; while one waits, others are skipped."""
    BUFFER_ALL = "buffer_all"
    """All wait in their order, up to `buffer_limit`."""
    CANCEL_OTHER = "cancel_other"
    """What is open is cancelled; the occurrence starts when it is gone."""
    TERMINATE_OTHER = "terminate_other"
    """The same without a grace."""
    ALLOW_ALL = "allow_all"
    """They run side by side, up to `concurrency_limit`; what is beyond it waits as with `buffer_all`."""


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
