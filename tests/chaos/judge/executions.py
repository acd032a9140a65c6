"""The executions of runs, as their processes wrote them, and the rows beside them: the judge's indexes. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

import msgspec

from tests.chaos.judge.history import Asked, Attempt, Defined, History, Line, Problem, Run, Spec, Transition
from tests.chaos.judge.targets import specs_at
from tests.chaos.judge.windows import Windows


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One process of one attempt."""

    run_id: str
    token: int
    attempt: int
    nominal: datetime
    pid: int
    lines: tuple[Line, ...]

    @property
    def start(self) -> datetime:
        return self.lines[0].at

    @property
    def last(self) -> datetime:
        """Its last sign of life."""
        return self.lines[-1].at

    @property
    def end(self) -> Line | None:
        return next((each for each in self.lines if each.written.event == "end"), None)

    @property
    def term(self) -> Line | None:
        return next((each for each in self.lines if each.written.event == "term"), None)

    @property
    def succeeded(self) -> bool:
        return self.end is not None and self.end.written.code == 0 and self.term is None

    @property
    def failed(self) -> bool:
        return self.end is not None and self.end.written.code != 0 and self.term is None

    @property
    def name(self) -> str:
        return f"{self.run_id} (attempt {self.attempt}, token {self.token}, pid {self.pid})"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A history with what the checks look up."""

    history: History
    executions: dict[str, list[Execution]]
    """By run id, in the order of their starts."""
    runs: dict[str, Run]
    attempts: dict[str, list[Attempt]]
    """By run id, in the order of their tokens."""
    transitions: dict[str, list[Transition]]
    definitions: dict[str, list[Defined]]
    """By owner, in their order; refused ones are left out."""
    asked: dict[str, list[Asked]]
    problems: dict[tuple[str, str], Problem]
    """By owner and request id."""

    def applied(self, answered: datetime) -> datetime:
        """Until when a change may be unknown to the streams."""
        bounds, end = self.history.bounds, self.history.until
        faults = [each for each in self.history.faults if each.fault.partition(":")[0] in OF_CAPTURE]
        delays = [(each.at, (each.until or end) + bounds.applied_recovery) for each in faults]
        return Windows(delays).deadline(answered, bounds.applied)

    def specs_at(self, owner: str, at: datetime) -> list[Spec | None]:
        """The definitions that may have been in force; None stands for a job that does not exist."""
        history = self.history
        return specs_at(self.definitions.get(owner, []), at, history.until, history.bounds.clocks, self.applied)

    def attempt(self, execution: Execution) -> Attempt | None:
        mine = self.attempts.get(execution.run_id, [])
        return next((each for each in mine if each.token == execution.token), None)


_Row = TypeVar("_Row")
OF_CAPTURE = frozenset({"connect", "postgres", "brokers"})
"""Faults of these, as `connect: freeze`, delay what the streams learn from Postgres. Others do not: an owner that
recovers reads all of that before it decides (protocol O7)."""


def owner_of(run_id: str) -> str:
    return run_id.partition("@")[0].partition("#")[0]


def see(history: History) -> Seen:
    return Seen(
        history=history,
        executions=_executions(history.lines),
        runs={each.run_id: each for each in sorted(history.runs, key=lambda run: run.version)},
        attempts=_by(sorted(history.attempts, key=lambda each: each.token), "run_id"),
        transitions=_by(history.transitions, "run_id"),
        definitions=_by((each for each in _accepted(history) if isinstance(each, Defined)), "owner"),
        asked=_by((each for each in history.acts if isinstance(each, Asked)), "owner"),
        problems={(each.owner or "", each.request_id or ""): each for each in history.problems},
    )


def _accepted(history: History) -> list[Defined | Asked]:
    return sorted((each for each in history.acts if each.outcome != "refused"), key=lambda act: act.sent)


def _by(rows: Iterable[_Row], field: str) -> dict[str, list[_Row]]:
    found: dict[str, list[_Row]] = defaultdict(list)
    for each in rows:
        found[getattr(each, field)].append(each)
    return dict(found)


def _executions(lines: Iterable[Line]) -> dict[str, list[Execution]]:
    """A second `start` of the same token is a second execution, also with the same pid: pids may be of namespaces."""
    mine: dict[tuple[str, int, int], list[list[Line]]] = defaultdict(list)
    for each in lines:
        parts = mine[each.written.run_id, each.written.token, each.written.pid]
        if not parts or each.written.event == "start":
            parts.append([])
        parts[-1].append(each)
    found: dict[str, list[Execution]] = defaultdict(list)
    for (run_id, _, _), parts in mine.items():
        found[run_id] += [_execution(each) for each in parts]
    return {run_id: sorted(each, key=lambda one: one.start) for run_id, each in found.items()}


def _execution(lines: list[Line]) -> Execution:
    first = lines[0].written
    return Execution(
        run_id=first.run_id,
        token=first.token,
        attempt=first.attempt,
        nominal=first.nominal,
        pid=first.pid,
        lines=tuple(lines),
    )
