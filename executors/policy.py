"""The settings that apply to attempts, and the terms of a process that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from executors.deadlines import ProcessTerms
from schemas.dispatch import Dispatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    margin: timedelta
    """A process ends so long before its lease expires."""
    grace: timedelta
    """Between TERM and KILL."""
    path: str
    """PATH of the processes."""
    log_max_bytes: int

    def terms(self, dispatch: Dispatch, start_before: float) -> ProcessTerms:
        """`start_before`: when the claim becomes void (CLOCK_BOOTTIME)."""
        return ProcessTerms(
            limit=dispatch.limit.total_seconds(),
            grace=self.grace.total_seconds(),
            lease=dispatch.lease.total_seconds(),
            margin=self.margin.total_seconds(),
            start_before=start_before,
        )
