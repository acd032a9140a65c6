"""Watches all jobs and DAGs with a schedule: which of them are overdue, at a bounded cost for each round.

An agenda has the next occurrence of each job. When it is due, one look at an index of `runs` is enough for nearly all
jobs. Only for an occurrence without a record are the versions of the definition read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import msgspec
import psycopg

from schemas.times import EPOCH
from streams.core.agenda import Agenda
from tidemill.explain.history import last_before
from tidemill.overdue import read
from tidemill.overdue.expected import Version, in_force, last_expected
from tidemill.overdue.read import Clock, Now, Occurrence
from tidemill.target import Row
from tidemill.time import TICK, Plan, upcoming

BATCH = 500
LOOK_AGAIN = timedelta(seconds=20)
"""An overdue job is looked at again after this time."""
STATEMENT = timedelta(seconds=10)
"""At least this time before the end of a transaction that writes a row, the transaction had a number, or none wrote."""


class Watched(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    version: int
    plan: Plan
    seen_after: datetime
    """The version was committed after this time."""


class Watch:
    """Not thread-safe. `load` first; then `refresh` and `judge` each round."""

    __slots__ = ("_agenda", "_low", "_seen", "_snapshots", "_watched", "overdue")

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}
        self._agenda: Agenda[datetime, str] = Agenda()
        self._low = self._seen = EPOCH
        self._snapshots: deque[Now] = deque()
        self.overdue: dict[str, datetime] = {}
        """The occurrence without a record, by job or DAG."""

    def __len__(self) -> int:
        return len(self._watched)

    def load(self, postgres: psycopg.Connection[Row], turn: Callable[[], object] = lambda: None) -> None:
        """Read all jobs and DAGs."""
        self._note(read.now(postgres))
        for page in read.pages(postgres):
            self._put(page, EPOCH)
            turn()

    def refresh(self, postgres: psycopg.Connection[Row]) -> Now:
        """Read what changed since the last call, also what an old transaction has committed since."""
        seen, low = self._seen, self._low
        now = read.now(postgres)
        self._put(read.changes(postgres, low), seen)
        self._note(now)
        return now

    def judge(
        self, postgres: psycopg.Connection[Row], until: datetime, earliest: datetime, go_on: Callable[[], bool]
    ) -> int:
        """Look up the occurrences up to `until`, at least one batch. Returns how many jobs wait for the next round."""
        due = _Due(until)
        while batch := self._take(due, earliest):
            self._judge(postgres, batch, due, earliest)
            if not go_on():
                break
        head = self._agenda.head()
        return sum(at <= until for at in self._agenda.places().values()) if head and head[0] <= until else 0

    def _note(self, now: Now) -> None:
        """Move the time after which changes are read to when no transaction began that is still open."""
        self._seen = now.now
        self._snapshots.append(now)
        while len(self._snapshots) > 1 and self._snapshots[1].next_transaction <= now.open_from:
            self._snapshots.popleft()
        if self._snapshots[0].next_transaction <= now.open_from:
            self._low = self._snapshots[0].now - STATEMENT

    def _put(self, clocks: Iterable[Clock], seen_after: datetime) -> None:
        for clock in clocks:
            known = self._watched.get(clock.owner)
            if known is not None and known.version >= clock.version:
                continue
            if clock.plan is None:
                self._drop(clock.owner)
            else:
                self._watched[clock.owner] = Watched(version=clock.version, plan=clock.plan, seen_after=seen_after)
                self._agenda.put(clock.owner, EPOCH)

    def _drop(self, owner: str) -> None:
        self._watched.pop(owner, None)
        self._agenda.drop(owner)
        self.overdue.pop(owner, None)

    def _take(self, due: _Due, earliest: datetime) -> list[Occurrence]:
        batch: list[Occurrence] = []
        while len(batch) < BATCH and (owner := self._agenda.pop_due(due.until)) is not None:
            last = due.last(self._watched[owner].plan)
            if last is None or last < earliest:
                self._is_fine(owner, due)
            else:
                batch.append((owner, last))
        return batch

    def _judge(self, postgres: psycopg.Connection[Row], batch: list[Occurrence], due: _Due, earliest: datetime) -> None:
        missing = dict(read.missing(postgres, batch))
        for owner, _ in batch:
            if owner not in missing:
                self._is_fine(owner, due)
        if missing:
            self._suspect(postgres, missing, due, earliest)

    def _suspect(
        self, postgres: psycopg.Connection[Row], missing: dict[str, datetime], due: _Due, earliest: datetime
    ) -> None:
        """Judge jobs whose newest occurrence, by the newest version alone, has no record."""
        histories = {owner: self._seen_by(found) for owner, found in read.versions(postgres, missing).items()}
        expected: dict[str, datetime] = {}
        for owner in missing:
            versions = histories.get(owner, [])
            at = last_expected(versions, earliest, due.until)
            if not versions or versions[-1].plan is None:
                self._drop(owner)
            elif at is None:
                self._is_fine(owner, due)
            else:
                expected[owner] = at
        asked = [each for each in expected.items() if missing[each[0]] != each[1]]
        gone = {*read.missing(postgres, asked), *(expected.items() - set(asked))}
        for owner, at in expected.items():
            if (owner, at) in gone and not _is_finished(postgres, histories[owner], (owner, at), earliest):
                self.overdue[owner] = at
                self._agenda.put(owner, due.until + LOOK_AGAIN)
            else:
                self._is_fine(owner, due)

    def _seen_by(self, versions: list[Version]) -> list[Version]:
        """The newest version, if it was first seen in a later round, was committed after the round before."""
        newest = versions[-1]
        known = self._watched.get(newest.owner)
        if known is None or known.version != newest.version or known.seen_after <= newest.valid_from:
            return versions
        return [*versions[:-1], msgspec.structs.replace(newest, valid_from=known.seen_after)]

    def _is_fine(self, owner: str, due: _Due) -> None:
        self.overdue.pop(owner, None)
        following = due.next(self._watched[owner].plan)
        if following is not None:
            self._agenda.put(owner, following)


class _Due:
    """The last occurrence up to a time and the next one, computed once for all jobs of a plan."""

    __slots__ = ("_last", "_next", "until")

    def __init__(self, until: datetime) -> None:
        self.until = until
        self._last: dict[int, datetime | None] = {}
        self._next: dict[int, datetime | None] = {}

    def last(self, plan: Plan) -> datetime | None:
        if id(plan) not in self._last:
            self._last[id(plan)] = last_before(plan, self.until + TICK)
        return self._last[id(plan)]

    def next(self, plan: Plan) -> datetime | None:
        if id(plan) not in self._next:
            self._next[id(plan)] = next(iter(upcoming(plan, self.until, 1)), None)
        return self._next[id(plan)]


def _is_finished(
    postgres: psycopg.Connection[Row], versions: list[Version], occurrence: Occurrence, earliest: datetime
) -> bool:
    version = in_force(versions, occurrence[1])
    if version is None or version.max_runs is None:
        return False
    return read.is_finished(postgres, occurrence, version.valid_from, earliest)
