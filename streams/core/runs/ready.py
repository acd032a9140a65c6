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

    __slots__ = ("_priorities", "agendas", "asked", "first", "said", "unmet", "unsaid")

    def __init__(self, asked: Confinement, why: str | None) -> None:
        self.asked = asked
        """What they ask for."""
        self.agendas: tuple[Agenda[datetime, RunId], ...] = tuple(Agenda() for _ in _PRIORITIES)
        """By priority, a number: an index of `_PRIORITIES`."""
        self._priorities: dict[RunId, int] = {}
        self.unmet = why
        """Why the executor cannot run them; None: it can."""
        self.first: tuple[DispatchOrder, RunId] | None = None
        """The run to dispatch next."""
        self.said: dict[RunId, None] = {}
        """The runs whose status says that they wait for another executor."""
        self.unsaid: dict[RunId, None] = {}
        """The others, if the runs ask for something."""

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
        if self.said:
            self.said.pop(run_id, None)
        if self.unsaid:
            self.unsaid.pop(run_id, None)
        if self.first is not None and self.first[1] == run_id:
            self.first = self._head()

    @property
    def wrong(self) -> dict[RunId, None]:
        """The runs whose status is not true."""
        return self.unsaid if self.unmet else self.said

    def note_status(self, run_id: RunId, *, is_said: bool) -> None:
        right, wrong = (self.said, self.unsaid) if is_said else (self.unsaid, self.said)
        wrong.pop(run_id, None)
        if is_said or self.asked is not NOTHING_ASKED:  # runs that ask for nothing are never unmet
            right[run_id] = None

    def take_wrong(self) -> RunId:
        """Count one of `wrong` as right from now on, and return it."""
        run_id, _ = self.wrong.popitem()
        self.note_status(run_id, is_said=self.unmet is not None)
        return run_id

    def _head(self) -> tuple[DispatchOrder, RunId] | None:
        for number, agenda in enumerate(self.agendas):
            if head := agenda.head():
                return (*_PRIORITIES[number], head[0]), head[1]
        return None


class ReadyQueue:
    """The runs by their demands: one that the executor cannot run delays none that it can (protocol D7)."""

    __slots__ = ("_given", "_heads", "_lines", "_places", "_to_correct")

    def __init__(self) -> None:
        self._lines: dict[Confinement, Line] = {}
        """By demands; none is empty."""
        self._places: dict[RunId, Line] = {}
        self._given: Capabilities = NOTHING_GIVEN
        """What the lines were judged by."""
        self._heads: Agenda[DispatchOrder, RunId] = Agenda()
        """The first run of each line that the executor can run."""
        self._to_correct: dict[Confinement, None] = {}
        """Lines that may have runs whose status is not true."""

    def __len__(self) -> int:
        return len(self._places)

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
        line = self._places.get(run_id)
        return line.asked if line else None

    def put(
        self, run_id: RunId, order: DispatchOrder, asked: Confinement = NOTHING_ASKED, *, is_said: bool = False
    ) -> None:
        """Give the run this place instead of any other. `is_said`: its status says that it waits for another executor.

        `asked` has no amounts (`schemas.confinement.demands`).
        """
        line = self._places.get(run_id)
        if line is None or line.asked != asked:
            self.drop(run_id)
            line = self._places[run_id] = self._line(asked)
        before = line.first
        line.put(run_id, order)
        self._note_first(line, before)
        line.note_status(run_id, is_said=is_said)
        if is_said == (line.unmet is None):
            self._to_correct[asked] = None

    def drop(self, run_id: RunId) -> None:
        """Remove the run, if it is there."""
        line = self._places.pop(run_id, None)
        if line is None:
            return
        before = line.first
        line.drop(run_id)
        self._note_first(line, before)
        if not line:
            del self._lines[line.asked]
            self._to_correct.pop(line.asked, None)

    def _line(self, asked: Confinement) -> Line:
        line = self._lines.get(asked)
        if line is None:
            line = self._lines[asked] = Line(asked, unmet(asked, self._given))
        return line

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
            if line.wrong:
                self._to_correct[asked] = None

    def head(self) -> tuple[Lane, RunId] | None:
        """The run to dispatch next of those that the executor can run, and its lane."""
        head = self._heads.head()
        return (head[0][0], head[1]) if head else None

    @property
    def has_wrong(self) -> bool:
        """False: `take_wrong` has nothing."""
        return any(self._lines[each].wrong for each in self._to_correct)

    def take_wrong(self) -> tuple[RunId, str | None] | None:
        """One run whose status is not true, with the reason for which the executor cannot run it; None: it can."""
        while self._to_correct:
            line = self._lines[next(reversed(self._to_correct))]
            if line.wrong:
                return line.take_wrong(), line.unmet
            self._to_correct.popitem()
        return None

    def _note_first(self, line: Line, before: tuple[DispatchOrder, RunId] | None) -> None:
        if line.unmet or line.first is before:
            return
        if before:
            self._heads.drop(before[1])
        if line.first:
            self._heads.put(line.first[1], line.first[0])
