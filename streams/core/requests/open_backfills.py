"""The backfills of one owner that have not ended: what each still has to start, and what it has at work."""

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
    """Its runs that wait for others of it to end, in the order in which they start. One that has moved on is stale."""
    active: set[RunId] = field(default_factory=set)
    """Its runs that were let go and have not ended."""
    ran: set[str] = field(default_factory=set)
    """By their time as in a run id: occurrences that others have run since it was asked for, and that are not stored
    yet.
    """

    def note_ran(self) -> None:
        """What others have run, it leaves alone, as what had run before it was asked for."""
        if self.ran and not self.stored.is_planned:
            asked = self.stored.asked
            asked = msgspec.structs.replace(asked, ran={**asked.ran, **dict.fromkeys(self.ran)})
            self.stored = msgspec.structs.replace(self.stored, asked=asked)
        self.ran.clear()

    def is_beside(self, run: Run) -> bool:
        """Whether the run is that of an occurrence of this backfill, and not its own."""
        asked, status = self.stored.asked, run.status
        return (
            asked.backfill_from <= status.nominal_time < asked.backfill_to
            and run.run_id == occurrence_run_id(status.job_id, status.nominal_time)
            and run.backfill_id != self.stored.run_id
        )


@dataclass(slots=True, kw_only=True)
class OpenBackfills:
    by_run: dict[RunId, OpenBackfill] = field(default_factory=dict)
    """By the run that stands for it."""
    unplanned: dict[str, set[RunId]] = field(default_factory=dict)
    """By job. One that is planned by now is stale and taken out when it is met."""

    def add(self, backfill: OpenBackfill) -> None:
        stored = backfill.stored
        self.by_run[stored.run_id] = backfill
        if not stored.is_planned:
            self.unplanned.setdefault(stored.job_id, set()).add(stored.run_id)

    def note_end(self, run: Run) -> set[RunId]:
        """A run has ended that had begun. Returns the backfills which leave its occurrence alone for that."""
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
        """Once all of `runs`, those of all backfills, are known: what was let go and has not begun is held again."""
        for run in sorted(runs, key=lambda each: each.status.nominal_time):
            backfill = self.by_run[run.backfill_id or run.run_id]
            if run.has_started:
                backfill.active.add(run.run_id)
            elif backfill.stored.asked.run_backwards:
                backfill.held.appendleft(run.run_id)
            else:
                backfill.held.append(run.run_id)
