"""The dispatched attempts of one partition, and the executors that run them or may take more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.confinement import NOTHING_GIVEN, Capabilities
from schemas.ids import ExecutorId
from streams.core.agenda import Agenda
from streams.core.settings import DispatchTerms


@dataclass(slots=True, kw_only=True)
class InFlight:
    """What the owner has observed of a dispatched attempt since it took over; it is not stored."""

    token: int
    timeout_class: str
    dispatched_at: datetime
    """The time of its step; later the time of its commit, before which it was appended."""
    due_at: datetime
    """When its run became due."""
    terms: DispatchTerms
    executor_id: ExecutorId | None = None
    """The executor that has it; None: unknown."""
    offset: int | None = None
    """The offset of its dispatch; None until the commit is known."""
    claim_seen_at: datetime | None = None
    """When the group's offset was found past the dispatch without an event of it (protocol D5)."""
    unclaimed_at: datetime | None = None
    """When the group's offset was last requested and found not past the dispatch."""
    heard_at: datetime | None = None
    """When an executor last reported it; None: never."""

    def note_heard(self, at: datetime) -> None:
        """Keep the latest time: events and heartbeats are not read in the order of their times."""
        if self.heard_at is None or self.heard_at < at:
            self.heard_at = at


@dataclass(slots=True, kw_only=True)
class Fleet:
    """The executors of this partition: their windows, and how many attempts each has."""

    _taken: dict[tuple[str, ExecutorId | None], int] = field(default_factory=lambda: defaultdict(int))
    """How many attempts are in flight, by timeout class and executor."""
    _unreported: dict[str, Agenda[datetime, int]] = field(default_factory=lambda: defaultdict(Agenda))
    """By timeout class: the tokens of the attempts that no executor has reported, by the time at which they became due.
    """
    _windows: dict[str, dict[ExecutorId, int]] = field(default_factory=lambda: defaultdict(dict))
    """By timeout class: the windows that executors announce for this partition."""
    _given: dict[ExecutorId, Capabilities] = field(default_factory=dict)
    """By executor: what it can give to an attempt."""
    _classes: dict[ExecutorId, frozenset[str]] = field(default_factory=dict)
    """By executor: the classes for which it has a window."""
    _holders: dict[str, ExecutorId] = field(default_factory=dict)
    """By timeout class: the executor with a window and the newest heartbeat."""
    _heard: Agenda[datetime, ExecutorId] = field(default_factory=Agenda)
    """By executor: the time of its last heartbeat."""

    def count(self, flight: InFlight, more: int) -> None:
        """1: the attempt is in flight; -1: it no longer is."""
        key = flight.timeout_class, flight.executor_id
        self._taken[key] += more
        if not self._taken[key]:
            del self._taken[key]
        if flight.executor_id is not None:
            return
        if more > 0:
            self._unreported[flight.timeout_class].put(flight.token, flight.due_at)
        else:
            self._unreported[flight.timeout_class].drop(flight.token)

    def note_report(self, flight: InFlight, executor_id: ExecutorId, at: datetime) -> None:
        """An executor reported an attempt that it has."""
        flight.note_heard(at)
        if flight.executor_id != executor_id:
            self.count(flight, -1)
            flight.executor_id = executor_id
            self.count(flight, 1)

    def window(self, timeout_class: str) -> int | None:
        """The window of the executor that reads this partition, by the newest heartbeat; None: unknown."""
        holder = self._holders.get(timeout_class)
        return None if holder is None else self._windows[timeout_class][holder]

    def given(self, timeout_class: str) -> Capabilities | None:
        """What the executor that reads this partition can give to an attempt; None: unknown."""
        holder = self._holders.get(timeout_class)
        return None if holder is None else self._given[holder]

    def unfinished(self, timeout_class: str) -> int:
        """How many attempts count against the window: those of its holder, and those without a known executor, which
        wait for the holder. Attempts of other executors do not count.
        """
        holder = self._holders.get(timeout_class)
        if holder is None:  # the holder may be any executor without a heartbeat
            unheard = (key for key in self._taken if key[1] is None or key[1] not in self._heard)
            return sum(self._taken[key] for key in unheard if key[0] == timeout_class)
        return self._taken.get((timeout_class, None), 0) + self._taken.get((timeout_class, holder), 0)

    def unreported(self, timeout_class: str) -> tuple[int, datetime | None]:
        """How many attempts no executor has reported yet, and when the run of the oldest became due."""
        agenda = self._unreported.get(timeout_class)
        head = agenda.head() if agenda else None
        return (len(agenda), head[0]) if agenda and head else (0, None)

    def note_heartbeat(
        self,
        executor_id: ExecutorId,
        at: datetime,
        windows: Mapping[str, int],
        given: Capabilities | None = None,
    ) -> None:
        """Apply a heartbeat; `windows` are those of this partition, by timeout class. `given` is None in one of an
        earlier release.
        """
        self._heard.put(executor_id, at)
        self._given[executor_id] = given or NOTHING_GIVEN
        for gone in self._classes.get(executor_id, frozenset()) - windows.keys():
            self._withdraw(gone, executor_id)
        self._classes[executor_id] = frozenset(windows)
        for name, size in windows.items():
            self._windows[name][executor_id] = size
            holder = self._holders.get(name)
            if holder is None or self._at(holder) <= at:
                self._holders[name] = executor_id

    def forget(self, executor_id: ExecutorId) -> None:
        self._heard.drop(executor_id)
        self._given.pop(executor_id, None)
        for name in self._classes.pop(executor_id, frozenset()):
            self._withdraw(name, executor_id)

    def silent_since(self, limit: datetime) -> ExecutorId | None:
        """An executor whose last heartbeat was before `limit`, if there is one."""
        head = self._heard.head()
        return head[1] if head is not None and head[0] < limit else None

    def _withdraw(self, name: str, executor_id: ExecutorId) -> None:
        windows = self._windows[name]
        del windows[executor_id]
        if self._holders[name] != executor_id:
            return
        if windows:  # rare: while the partition moves, both announce a window
            self._holders[name] = max(windows, key=self._at)
        else:
            del self._holders[name], self._windows[name]

    def _at(self, executor_id: ExecutorId) -> datetime:
        at = self._heard.place(executor_id)
        assert at is not None, f"{executor_id} has windows, but no heartbeat"
        return at
