"""A dispatch: one attempt that an executor can claim from `runs.<class>`, with all that it needs to run it."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from schemas.confinement import Confinement
from schemas.ids import OwnerId, RunId
from schemas.raw import Json, keep_json
from schemas.result import Result


class Dispatch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    run_id: RunId
    owner: OwnerId
    job_id: str
    attempt: int
    """The number of the attempt, from 1, for display; fencing uses `token`."""
    token: int
    """The fencing token, which only increases within an owner, across runs and reruns (protocol L5)."""
    timeout_class: str
    nominal_time: datetime
    scheduled_time: datetime
    executable: str
    sha256: str | None
    args: tuple[str, ...]
    env: dict[str, str]
    payload: Json
    limit: timedelta
    """The longest that the process may take from its start: the limit of the class, or the job's timeout."""
    valid_for: timedelta
    """D: an executor that reads this record later than its append time + D reports `Expired` (protocol D2)."""
    claim_grace: timedelta
    """From the claim to `Started` (or `Claimed`, before a fetch); later the attempt is lost (protocol D4, D5)."""
    lease: timedelta
    """An attempt is lost if its executor sends no heartbeat for this time (protocol L1)."""
    checkpoint: str | None = None
    """The URI in S3 of the checkpoint that an earlier attempt of the run left for this one."""
    results: dict[str, Result | None] | None = None
    """For a node with dependencies: the result of each, as a value or an address; None: it has none."""
    traceparent: str | None = None
    """That of the run's status."""
    tenant: str | None = None
    """The tenant of the job, for the list of secrets that it may use; None: an earlier release wrote the record."""
    confinement: Confinement | None = None
    """What its job asks of the sandbox; None: the executor's default."""

    def __post_init__(self) -> None:
        keep_json(self, "payload")
