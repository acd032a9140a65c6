"""The backfills of one owner that have not ended: what each still has to start, and what it has at work."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from schemas.ids import RequestId, RunId
from streams.core.run import Run
from streams.core.stored import StoredBackfill


@dataclass(slots=True, kw_only=True)
class OpenBackfill:
    stored: StoredBackfill
    held: deque[RunId] = field(default_factory=deque)
    """Its runs that wait for others of it to end, in the order in which they start. One that has moved on is stale."""
    active: set[RunId] = field(default_factory=set)
    """Its runs that were let go and have not ended."""


@dataclass(slots=True, kw_only=True)
class OpenBackfills:
    by_request: dict[RequestId, OpenBackfill] = field(default_factory=dict)

    def restore(self, runs: list[Run]) -> None:
        """Once all of `runs`, those of all backfills, are known: what was let go and has not begun is held again."""
        for run in sorted(runs, key=lambda each: each.status.nominal_time):
            backfill = self.by_request[RequestId(run.status.request_id or "")]
            if run.has_begun:
                backfill.active.add(run.run_id)
            elif backfill.stored.asked.run_backwards:
                backfill.held.appendleft(run.run_id)
            else:
                backfill.held.append(run.run_id)
