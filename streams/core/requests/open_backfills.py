"""The open backfills of one partition owner: which runs each holds, and which are active."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec

from schemas.ids import RunId, occurrence_run_id
from schemas.times import run_id_time
from streams.core.runs.run import Run
from streams.core.stored import StoredBackfill


@dataclass(slots=True, kw_only=True)
class OpenBackfill:
    stored: StoredBackfill
    held: deque[RunId] = field(default_factory=deque)
    """Its runs that wait for its other runs to end, in the order in which they start. Entries may be stale."""
    active: set[RunId] = field(default_factory=set)
    """Its runs that were released and have not ended."""
    ran: set[str] = field(default_factory=set)
    """Occurrences, by time as in a run id, that ran otherwise since the request and are not stored yet."""

    def note_ran(self) -> None:
        """Leave alone the occurrences that ran otherwise, like those that had run before the request."""
        if self.ran and not self.stored.is_planned:
            asked = self.stored.asked
            asked = msgspec.structs.replace(asked, ran={**asked.ran, **dict.fromkeys(self.ran)})
            self.stored = msgspec.structs.replace(self.stored, asked=asked)
        self.ran.clear()

    def is_beside(self, run: Run) -> bool:
        """Whether the run is of an occurrence in this backfill's interval, but not the backfill's own run."""
        asked, status = self.stored.asked, run.status
        return (
            asked.backfill_from <= status.nominal_time < asked.backfill_to
            and run.run_id == occurrence_run_id(status.job_id, status.nominal_time)
            and run.backfill_id != self.stored.run_id
        )


@dataclass(slots=True, kw_only=True)
class OpenBackfills:
    by_run: dict[RunId, OpenBackfill] = field(default_factory=dict)
    """By the run that represents the backfill."""
    unplanned: dict[str, set[RunId]] = field(default_factory=dict)
    """By job; entries that are planned by now are removed when found."""

    def add(self, backfill: OpenBackfill) -> None:
        stored = backfill.stored
        self.by_run[stored.run_id] = backfill
        if not stored.is_planned:
            self.unplanned.setdefault(stored.job_id, set()).add(stored.run_id)

    def note_end(self, run: Run) -> set[RunId]:
        """A run that had started has ended. Returns the backfills that leave its occurrence alone because of it."""
        still = self.unplanned_of(run.status.job_id)
        beside = {each for each in still if self.by_run[each].is_beside(run)}
        for backfill_id in beside:
            self.by_run[backfill_id].ran.add(run_id_time(run.status.nominal_time))
        return beside

    def unplanned_of(self, job_id: str) -> set[RunId]:
        still = {each for each in self.unplanned.pop(job_id, ()) if self._is_unplanned(each)}
        if still:
            self.unplanned[job_id] = still
        return still

    def _is_unplanned(self, backfill_id: RunId) -> bool:
        backfill = self.by_run.get(backfill_id)
        return backfill is not None and not backfill.stored.is_planned

    def restore(self, runs: list[Run]) -> None:
        """Recovery: `runs` are those of all backfills. A run that was released but has not started is held again."""
        for run in sorted(runs, key=lambda each: each.status.nominal_time):
            backfill = self.by_run[run.backfill_id or run.run_id]
            if run.has_started:
                backfill.active.add(run.run_id)
            elif backfill.stored.asked.run_backwards:
                backfill.held.appendleft(run.run_id)
            else:
                backfill.held.append(run.run_id)
