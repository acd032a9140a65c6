"""The events that executors report; the owner decides what follows from them."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import msgspec

from schemas.ids import ExecutorId, RunId
from schemas.result import Result

MAX_OUTPUT_BYTES = 8 * 1024
"""Output up to this size is in the event; longer output is also in S3."""


class EndCause(Enum):
    """Why a process ended."""

    EXITED = "exited"
    """It exited; `exit_code` is its status, or 128 + the number of the signal that ended it."""
    LIMIT = "limit"
    """It reached its limit and got TERM: no success, whatever its exit code is (protocol L7)."""
    LEASE = "lease"
    """The supervisor killed it because its lease was not renewed."""
    STOPPED = "stopped"
    """The executor had to stop before the process ended."""
    CANCELLED = "cancelled"
    """Its owner sent a `Kill`: it got TERM, or was never started."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="claimed"):
    """An executor has claimed the attempt and first fetches its executable."""

    run_id: RunId
    attempt: int
    token: int
    at: datetime


class Started(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="started"):
    """The process starts after the broker has acknowledged this event."""

    run_id: RunId
    attempt: int
    token: int
    at: datetime
    sha256: str


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ended"):
    run_id: RunId
    attempt: int
    token: int
    at: datetime
    """When the executor saw that the process had ended."""
    cause: EndCause
    exit_code: int | None
    started_at: datetime | None
    """When the process started, milliseconds after `Started` was acknowledged; None: it never started."""
    output: str = ""
    """Standard output and error, at most `MAX_OUTPUT_BYTES`: the start, a line about the cut, and the end."""
    output_bytes: int = 0
    """How many bytes the process wrote."""
    log_uri: str | None = None
    """The S3 prefix of the log, if it did not fit `output`."""
    checkpoint: str | None = None
    """The S3 URI of the checkpoint that it left for the next attempt; None: no new one."""
    checkpoint_problem: str | None = None
    """Why its checkpoint was not kept, or why it could not use the previous one."""
    memory_problem: str | None = None
    """What the kernel killed for lack of memory, if that is known."""
    disk_problem: str | None = None
    """How it reached its disk limit."""
    pids_problem: str | None = None
    """How often it was refused a process because of its limit."""
    left_problem: str | None = None
    """What it started and may still run, because the executor could not end it."""
    peak_memory: int | None = None
    """Bytes: of the whole attempt if it had a control group, else of its largest process. None: it never started."""
    cpu_seconds: float | None = None
    """CPU time of its processes, in and out of the kernel. None: it never started."""
    result: Result | None = None
    """The JSON that it wrote to `$TIDEMILL_RESULT`, if its exit code is 0."""
    next_nodes: tuple[str, ...] | None = None
    """The dependent nodes that the result of a node chooses; the others are skipped."""
    result_problem: str | None = None
    """What is wrong with the result that it wrote."""
    result_lost: str | None = None
    """Why its result could not be stored, which is not the fault of the process."""
    result_refused: str | None = None
    """Why S3 will never take its result: `result` has no address then, and no value if that is too large."""


class Rejected(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="rejected"):
    """The attempt cannot be run: no such object, wrong checksum, S3 unreachable, no such secret, exec refused."""

    run_id: RunId
    attempt: int
    token: int
    at: datetime
    reason: str
    is_unmet: bool = False
    """This executor cannot give what the dispatch asks for; another one may (protocol D7)."""


class Expired(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="expired"):
    """The dispatch was older than `valid_for` when the executor read it, and did not run."""

    run_id: RunId
    attempt: int
    token: int
    at: datetime


Event = Claimed | Started | Ended | Rejected | Expired


class EventBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the topic `events`: events of runs of one partition, in the order in which they happened."""

    executor_id: ExecutorId
    events: tuple[Event, ...]
