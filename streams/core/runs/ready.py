"""The due runs of one timeout class that wait for room in the window of an executor that can run them."""

from __future__ import annotations

from datetime import datetime

from schemas.confinement import NOTHING_ASKED, NOTHING_GIVEN, Capabilities, Confinement, unmet
from schemas.ids import RunId
from streams.core.agenda import Agenda
from streams.core.runs.run import DispatchOrder, Lane

_PRIORITIES = tuple((lane, is_rerun) for lane in Lane for is_rerun in (False, True))
"""The parts of a `DispatchOrder` before the time, the first one first."""


class Line:
    """The runs with the same demands, in the order in which they are dispatched. Each priority has its own agenda, so
    that the oldest run is known without a search.
    """

    __slots__ = ("_priorities", "agendas", "first", "unmet", "unsaid")

    def __init__(self, why: str | None) -> None:
        self.agendas: tuple[Agenda[datetime, RunId], ...] = tuple(Agenda() for _ in _PRIORITIES)
        """By priority, a number: an index of `_PRIORITIES`."""
        self._priorities: dict[RunId, int] = {}
        self.unmet = why
        """Why the executor cannot run them; None: it can."""
        self.first: tuple[DispatchOrder, RunId] | None = None
        """The run to dispatch next."""
        self.unsaid: dict[RunId, None] = {}
        """The runs whose status does not say that they wait for another executor."""

    def __len__(self) -> int:
        return len(self._priorities)

    @property
    def oldest(self) -> datetime | None:
        heads = (agenda.head() for agenda in self.agendas)
        return min((head[0] for head in heads if head), default=None)

    def places(self) -> dict[RunId, DispatchOrder]:
        return {
            run_id: (*priority, due_at)
            for priority, agenda in zip(_PRIORITIES, self.agendas, strict=True)
            for run_id, due_at in agenda.places().items()
        }

    def put(self, run_id: RunId, order: DispatchOrder) -> None:
        lane, is_rerun, due_at = order
        priority = 2 * lane + is_rerun
        before = self._priorities.get(run_id)
        if before is not None and before != priority:
            self.agendas[before].drop(run_id)
        self._priorities[run_id] = priority
        self.agendas[priority].put(run_id, due_at)
        if self.first is None or self.first[1] == run_id:
            self.first = self._head()
        else:
            self.first = min(self.first, (order, run_id))

    def drop(self, run_id: RunId) -> None:
        self.agendas[self._priorities.pop(run_id)].drop(run_id)
        self.unsaid.pop(run_id, None)
        if self.first is not None and self.first[1] == run_id:
            self.first = self._head()

    def _head(self) -> tuple[DispatchOrder, RunId] | None:
        for number, agenda in enumerate(self.agendas):
            if head := agenda.head():
                return (*_PRIORITIES[number], head[0]), head[1]
        return None


class ReadyQueue:
    """The runs by their demands: one that the executor cannot run delays none that it can (protocol D7)."""

    __slots__ = ("_demands", "_given", "_heads", "_lines", "_to_say")

    def __init__(self) -> None:
        self._lines: dict[Confinement, Line] = {}
        """By demands; none is empty."""
        self._demands: dict[RunId, Confinement] = {}
        self._given: Capabilities = NOTHING_GIVEN
        """What the lines were judged by."""
        self._heads: Agenda[DispatchOrder, RunId] = Agenda()
        """The first run of each line that the executor can run."""
        self._to_say: dict[Confinement, None] = {}
        """Lines that the executor cannot run and that may have runs whose status does not say so."""

    def __len__(self) -> int:
        return len(self._demands)

    @property
    def agendas(self) -> list[Agenda[datetime, RunId]]:
        return [agenda for line in self._lines.values() for agenda in line.agendas]

    @property
    def oldest(self) -> datetime | None:
        """Of the runs that the executor can run: when the one that is due for the longest time became due; None: there
        is no run.
        """
        lines = (line.oldest for line in self._lines.values() if not line.unmet)
        return min((each for each in lines if each), default=None)

    @property
    def unmet(self) -> int:
        """How many runs the executor cannot run."""
        return sum(len(line) for line in self._lines.values() if line.unmet)

    def places(self) -> dict[RunId, DispatchOrder]:
        """A copy."""
        return {run_id: order for line in self._lines.values() for run_id, order in line.places().items()}

    def demands(self, run_id: RunId) -> Confinement | None:
        """None: the run is not here."""
        return self._demands.get(run_id)

    def put(
        self, run_id: RunId, order: DispatchOrder, asked: Confinement = NOTHING_ASKED, *, is_said: bool = False
    ) -> None:
        """Give the run this place instead of any other. `is_said`: its status says that it waits for another executor.

        `asked` has no amounts (`schemas.confinement.demands`).
        """
        if self._demands.get(run_id, asked) != asked:
            self.drop(run_id)
        line = self._lines.get(asked)
        if line is None:
            line = self._lines[asked] = Line(unmet(asked, self._given))
        self._demands[run_id] = asked
        before = line.first
        line.put(run_id, order)
        self._note_first(line, before)
        if is_said:
            line.unsaid.pop(run_id, None)
            return
        line.unsaid[run_id] = None
        if line.unmet:
            self._to_say[asked] = None

    def drop(self, run_id: RunId) -> None:
        """Remove the run, if it is there."""
        asked = self._demands.pop(run_id, None)
        if asked is None:
            return
        line = self._lines[asked]
        before = line.first
        line.drop(run_id)
        self._note_first(line, before)
        if not line:
            del self._lines[asked]
            self._to_say.pop(asked, None)

    def judge(self, given: Capabilities) -> None:
        """Use what the executor gives from now on. Takes O(different demands), if it differs from before."""
        if given == self._given:
            return
        self._given = given
        for asked, line in self._lines.items():
            if line.first and not line.unmet:
                self._heads.drop(line.first[1])
            line.unmet = unmet(asked, given)
            if line.first and not line.unmet:
                self._heads.put(line.first[1], line.first[0])
            if line.unmet and line.unsaid:
                self._to_say[asked] = None

    def head(self) -> tuple[Lane, RunId] | None:
        """The run to dispatch next of those that the executor can run, and its lane."""
        head = self._heads.head()
        return (head[0][0], head[1]) if head else None

    @property
    def has_unsaid(self) -> bool:
        """False: `take_unsaid` has nothing."""
        return any(self._lines[each].unsaid for each in self._to_say)

    def take_unsaid(self) -> tuple[RunId, str] | None:
        """One run that the executor cannot run and whose status does not say so yet, with the reason; each run once."""
        while self._to_say:
            line = self._lines[next(reversed(self._to_say))]
            if line.unmet and line.unsaid:
                return line.unsaid.popitem()[0], line.unmet
            self._to_say.popitem()
        return None

    def _note_first(self, line: Line, before: tuple[DispatchOrder, RunId] | None) -> None:
        if line.unmet or line.first == before:
            return
        if before:
            self._heads.drop(before[1])
        if line.first:
            self._heads.put(line.first[1], line.first[0])
