"""The due runs of one timeout class that wait for room in an executor's window."""

from __future__ import annotations

from datetime import datetime

from schemas.ids import RunId
from streams.core.agenda import Agenda
from streams.core.runs.run import DispatchOrder, Lane

_PRIORITIES = tuple((lane, is_rerun) for lane in Lane for is_rerun in (False, True))
"""The parts of a `DispatchOrder` before the time, the first one first."""


class ReadyQueue:
    """The runs in the order in which they are dispatched. Each priority has its own agenda, so that the oldest run is
    known without a search.
    """

    __slots__ = ("_priorities", "agendas")

    def __init__(self) -> None:
        self.agendas: tuple[Agenda[datetime, RunId], ...] = tuple(Agenda() for _ in _PRIORITIES)
        """By priority, a number: an index of `_PRIORITIES`."""
        self._priorities: dict[RunId, int] = {}

    def __len__(self) -> int:
        return len(self._priorities)

    @property
    def oldest(self) -> datetime | None:
        """When the run that is due for the longest time became due; None: there is no run."""
        heads = (agenda.head() for agenda in self.agendas)
        return min((head[0] for head in heads if head), default=None)

    def places(self) -> dict[RunId, DispatchOrder]:
        """A copy."""
        return {
            run_id: (*priority, due_at)
            for priority, agenda in zip(_PRIORITIES, self.agendas, strict=True)
            for run_id, due_at in agenda.places().items()
        }

    def put(self, run_id: RunId, order: DispatchOrder) -> None:
        """Give the run this place instead of any other."""
        lane, is_rerun, due_at = order
        priority = 2 * lane + is_rerun
        before = self._priorities.get(run_id)
        if before is not None and before != priority:
            self.agendas[before].drop(run_id)
        self._priorities[run_id] = priority
        self.agendas[priority].put(run_id, due_at)

    def drop(self, run_id: RunId) -> None:
        """Remove the run, if it is there."""
        priority = self._priorities.pop(run_id, None)
        if priority is not None:
            self.agendas[priority].drop(run_id)

    def head(self) -> tuple[Lane, RunId] | None:
        """The run to dispatch next, and its lane."""
        for number, agenda in enumerate(self.agendas):
            if head := agenda.head():
                return _PRIORITIES[number][0], head[1]
        return None
