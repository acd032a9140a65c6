"""A dispatch: one attempt, ready to be claimed from `runs.<class>`, with all that an executor needs to run it."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from schemas.ids import OwnerId, RunId
from schemas.raw import Json, keep_json
from schemas.result import Result


class Dispatch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    run_id: RunId
    owner: OwnerId
    job_id: str
    attempt: int
    """Counts from 1; for people. What fences is `token`."""
    token: int
    """The fencing token: only grows within an owner, across runs and re-runs (protocol L5)."""
    timeout_class: str
    nominal_time: datetime
    scheduled_time: datetime
    executable: str
    sha256: str | None
    args: tuple[str, ...]
    env: dict[str, str]
    payload: Json
    limit: timedelta
    """The longest that the process may take, counted from its start: the class limit or the job's own timeout."""
    valid_for: timedelta
    """D: an executor that reads this record later than its append time + D reports it expired (protocol D2)."""
    claim_grace: timedelta
    """A claim that is not STARTED (or CLAIMED, before a fetch) by then counts as lost (protocol D4, D5)."""
    lease: timedelta
    """An attempt whose executor is silent for so long is lost (protocol L1)."""
    checkpoint: str | None = None
    """Where in S3 lies what an earlier attempt of the run left for this one."""
    results: dict[str, Result | None] | None = None
    """Of a node that depends on others: what each of them has written, if it has; with a value or an address."""

    def __post_init__(self) -> None:
        keep_json(self, "payload")
