"""What an audit finds, and what it counts."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from enum import StrEnum

import msgspec

from schemas.times import EPOCH


class Finding(StrEnum):
    MISSING = "missing"
    """An occurrence or request was due, and has neither a run nor a reason."""
    TWICE = "twice"
    """An occurrence has two records, or an attempt ran while another attempt of its run could run."""
    UNEXPECTED = "unexpected"
    """A run has a time at which no version of its job or DAG was due."""
    UNEXPLAINED = "unexplained"
    """A run did not succeed, or did not run, and has no reason code."""
    OVERLAPPING = "overlapping"
    """Two runs of a job ran at once, and its overlap policy forbids that."""
    EARLY = "early"
    """A process started before its scheduled time."""
    STATUS_LIE = "status_lie"
    """The state of a run contradicts its attempts or its transitions."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    finding: Finding
    owner: str
    """The job or DAG."""
    sentence: str
    run_id: str | None = None
    first: datetime | None = None
    """The occurrence, or the first of several."""
    last: datetime | None = None
    count: int = 1
    versions: tuple[int, ...] = ()
    """The versions in `tidemill.definitions` that decide."""
    evidence: str | None = None
    """Where the record is: `topic/partition@offset`."""


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was executed again, because an attempt was lost. It is no mistake: a run is executed at least once.

    Its side effects may be there twice (docs/fencing.md).
    """

    owner: str
    """The job or DAG."""
    run_id: str
    nominal_time: datetime
    attempt: int
    """The lost one."""
    token: int
    executor_id: str | None
    reason_code: str | None
    lost_at: datetime | None
    next_attempt: int
    next_started_at: datetime
    ran_until: datetime | None = None
    """When the lost process ended, if the next one had started by then: both ran at once. Only `events` know it."""


class Executions(msgspec.Struct, kw_only=True):
    """What an audit learns besides mistakes while it reads."""

    again: list[Again] = []
    kept_from: datetime = EPOCH
    """From then on `runs.<class>` and `events` have all records, in every partition."""


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from the scheduled time to the start of the first attempt."""

    p50: float
    p95: float
    p99: float
    max: float


class Tally(msgspec.Struct, kw_only=True):
    """What was looked at; the counts grow while the audit reads."""

    owners: int = 0
    expected: int = 0
    """Occurrences that must have a record."""
    unsure: int = 0
    """Occurrences next to a change of the definition, which either version may have decided."""
    runs: int = 0
    """Occurrences that became runs, by whatever end."""
    not_run: Counter[str] = msgspec.field(default_factory=Counter)
    """Occurrences that have a reason instead of a run, by reason code."""
    open: int = 0
    requests: int = 0
    nodes: int = 0
    attempts: int = 0
    dispatches: int = 0
    """Records of `runs.<class>`, `events` of starts and of ends that were matched with attempts."""
    starts: int = 0
    ends: int = 0
    before_kept: int = 0
    """Attempts that were dispatched before the first record that `runs.<class>` still has."""
