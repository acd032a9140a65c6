"""The attempts of one partition that are under way, and the executors that have, or take, them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.ids import ExecutorId
from streams.core.agenda import Agenda
from streams.core.policy.rules import Terms


@dataclass(slots=True, kw_only=True)
class InFlight:
    """What the owner has seen of a dispatched attempt since it took over; none of it needs to survive the owner."""

    token: int
    timeout_class: str
    dispatched_at: datetime
    """By the time of its step; of its commit, once that is known: the dispatch was not appended later."""
    terms: Terms
    executor_id: ExecutorId | None = None
    """Which executor has it; None: none that the owner knows of."""
    offset: int | None = None
    """Of its dispatch record; None until the transaction is known to be committed."""
    claim_seen_at: datetime | None = None
    """When the group's offset was seen to be past the dispatch while no event had come (protocol D5)."""
    unclaimed_at: datetime | None = None
    """When the group's offset was last asked for and found not to be past the dispatch."""
    heard_at: datetime | None = None
    """When its executor last spoke of it; None: nobody has."""

    def hear(self, at: datetime) -> None:
        """Events and heartbeats are read side by side: what is read later may have been said earlier."""
        if self.heard_at is None or self.heard_at < at:
            self.heard_at = at


@dataclass(slots=True, kw_only=True)
class Fleet:
    """The executors, as far as this partition is concerned: what they take of it, and what they have taken."""

    _taken: dict[tuple[str, ExecutorId | None], int] = field(default_factory=lambda: defaultdict(int))
    """How many attempts are in flight, by timeout class and executor."""
    _windows: dict[str, dict[ExecutorId, int]] = field(default_factory=lambda: defaultdict(dict))
    """By timeout class: what executors say that they take of this partition."""
    _classes: dict[ExecutorId, frozenset[str]] = field(default_factory=dict)
    """In whose windows an executor is."""
    _holders: dict[str, ExecutorId] = field(default_factory=dict)
    """By timeout class: whose heartbeat, of those with a window, is the newest."""
    _heard: Agenda[datetime, ExecutorId] = field(default_factory=Agenda)
    """When each executor was last heard."""

    def count(self, flight: InFlight, more: int) -> None:
        """It is in flight: 1; it is no longer: -1."""
        key = flight.timeout_class, flight.executor_id
        self._taken[key] += more
        if not self._taken[key]:
            del self._taken[key]

    def found_at(self, flight: InFlight, executor_id: ExecutorId, at: datetime) -> None:
        """An executor has spoken of an attempt that it has."""
        flight.hear(at)
        if flight.executor_id != executor_id:
            self.count(flight, -1)
            flight.executor_id = executor_id
            self.count(flight, 1)

    def window(self, timeout_class: str) -> int | None:
        """What the executor that holds this partition takes: the newest heartbeat that mentions it says so."""
        holder = self._holders.get(timeout_class)
        return None if holder is None else self._windows[timeout_class][holder]

    def unfinished(self, timeout_class: str) -> int:
        """What counts against that window: what its holder has, and what no executor is known to have, which lies
        before the holder. What others have is no concern of it, though they have taken it from this partition.
        """
        holder = self._holders.get(timeout_class)
        if holder is None:  # it may be any executor that was never heard
            unheard = (key for key in self._taken if key[1] is None or key[1] not in self._heard)
            return sum(self._taken[key] for key in unheard if key[0] == timeout_class)
        return self._taken.get((timeout_class, None), 0) + self._taken.get((timeout_class, holder), 0)

    def hear(self, executor_id: ExecutorId, at: datetime, windows: Mapping[str, int]) -> None:
        """A heartbeat, with the windows by timeout class of this partition."""
        self._heard.put(executor_id, at)
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
        for name in self._classes.pop(executor_id, frozenset()):
            self._withdraw(name, executor_id)

    def silent_since(self, limit: datetime) -> ExecutorId | None:
        """One that was last heard before `limit`."""
        head = self._heard.head()
        return head[1] if head is not None and head[0] < limit else None

    def _withdraw(self, name: str, executor_id: ExecutorId) -> None:
        windows = self._windows[name]
        del windows[executor_id]
        if self._holders[name] != executor_id:
            return
        if windows:  # seldom: the partition moves, and both have said that they hold it
            self._holders[name] = max(windows, key=self._at)
        else:
            del self._holders[name], self._windows[name]

    def _at(self, executor_id: ExecutorId) -> datetime:
        at = self._heard.place(executor_id)
        assert at is not None, f"{executor_id} has windows, and was never heard"
        return at
