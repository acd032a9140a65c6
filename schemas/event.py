"""What executors report, as facts; the owner judges them."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import msgspec

from schemas.ids import ExecutorId, RunId
from schemas.result import Result

MAX_OUTPUT_BYTES = 8 * 1024
"""Output up to this size travels in the event; more is in S3."""


class EndCause(Enum):
    """Why a process is no longer there."""

    EXITED = "exited"
    """By itself; `exit_code` is its status, or 128 + the number of the signal that ended it."""
    LIMIT = "limit"
    """Its limit was reached and TERM was sent: whatever the exit code, it is no success (protocol L7)."""
    LEASE = "lease"
    """The supervisor killed it because its lease was not renewed."""
    STOPPED = "stopped"
    """The executor was told to stop and could not wait any longer."""
    CANCELLED = "cancelled"
    """A `Kill` of its owner: TERM was sent, or it was never started."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="claimed"):
    """The attempt is claimed and its executable must be fetched first."""

    run_id: RunId
    attempt: int
    token: int
    at: datetime


class Started(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="started"):
    """Acknowledged before the process starts."""

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
    """When the process was seen to be gone."""
    cause: EndCause
    exit_code: int | None
    started_at: datetime | None
    """When the process really started: at most milliseconds after STARTED was acknowledged; None: it never did."""
    output: str = ""
    """Standard output and error, interleaved; at most `MAX_OUTPUT_BYTES`: head, a line that says what was cut, tail."""
    output_bytes: int = 0
    """How much the process wrote in all."""
    log_uri: str | None = None
    """The S3 prefix of the whole (bounded) log, when it did not fit `output`."""
    checkpoint: str | None = None
    """Where what it left for the next attempt lies in S3; None: nothing new."""
    checkpoint_problem: str | None = None
    """Why its checkpoint was not kept, or that it could not begin with the one before."""
    memory_problem: str | None = None
    """Of a process that failed: what the kernel says it killed for lack of memory, as far as that is known."""
    result: Result | None = None
    """What it wrote to `$TIDEMILL_RESULT`, if it ended with exit code 0."""
    next_nodes: tuple[str, ...] | None = None
    """Of a node whose result says so: which of those that depend on it are followed."""
    result_problem: str | None = None
    """What is wrong with what it wrote."""
    result_lost: str | None = None
    """Why its result could not be stored, for which it cannot be blamed."""


class Rejected(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="rejected"):
    """The attempt cannot be run: no such object, wrong checksum, S3 unreachable, no such secret, exec refused."""

    run_id: RunId
    attempt: int
    token: int
    at: datetime
    reason: str


class Expired(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="expired"):
    """The dispatch was older than `valid_for` when it was read; it was not run."""

    run_id: RunId
    attempt: int
    token: int
    at: datetime


Event = Claimed | Started | Ended | Rejected | Expired


class EventBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One record of `events`: facts about runs of one partition, in the order in which they happened."""

    executor_id: ExecutorId
    events: tuple[Event, ...]
