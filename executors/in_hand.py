"""An attempt in the hands of an executor, from its claim until its end is acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, assert_never

import structlog

from executors.attempt import Phase
from executors.binaries import Binary
from executors.checkpoints import NOTHING_KEPT, Kept
from executors.logs import Output
from executors.process import Exited, Spec
from executors.results import NOTHING_WRITTEN, Given, Written
from executors.workspace import Place
from schemas.dispatch import Dispatch
from schemas.event import EndCause, Ended, Rejected

_LOG = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Attempt:
    """Only the runner changes it."""

    number: int
    dispatch: Dispatch
    timeout_class: str
    partition: int
    read: float
    """When its dispatch was read (CLOCK_BOOTTIME): what S3 says of its binary counts if it was asked since then."""
    committed: float
    """When the commit that claimed it was sent (CLOCK_BOOTTIME)."""
    phase: Phase = Phase.CLAIMED
    binary: Binary | None = None
    place: Place | None = None
    spec: Spec | None = None
    output: Output | None = None
    announced: bool = False
    """CLAIMED was acknowledged in time: from there the lease rules, not the grace of the claim."""
    kept: Kept = NOTHING_KEPT
    """Its checkpoint, and what was wrong with it or with the one that it was to begin with."""
    given: Given = field(default_factory=dict)
    """Results of others that had to be fetched."""
    written: Written = NOTHING_WRITTEN
    """Its own."""
    reason: str = ""
    cause: EndCause = EndCause.LEASE
    """Why it is to end, or was given up; once it ran, the supervisor says why it ended."""
    grace_seconds: float = 0.0
    started: float | None = None
    exited: Exited | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What every event of it says."""
        return {"run_id": self.dispatch.run_id, "attempt": self.dispatch.attempt, "token": self.dispatch.token}


def log_end(attempt: Attempt, event: Ended | Rejected) -> None:
    match event:
        case Ended():
            _LOG.info("ended", **attempt.identity, cause=event.cause.value, exit_code=event.exit_code)
        case Rejected():
            _LOG.warning("rejected", **attempt.identity, reason=event.reason)
        case _:
            assert_never(event)
