"""Small histories for the tests of the judge of chaos: who did what when, in seconds after noon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from schemas.times import run_id_time
from tests.chaos.judge.history import (
    Asked,
    Attempt,
    Began,
    Defined,
    Effect,
    Fault,
    History,
    Line,
    Named,
    Outcome,
    Problem,
    Run,
    Spec,
    Transition,
    Written,
)
from tests.chaos.judge.verdict import judge
from tests.chaos.judge.violations import Kind

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
UNTIL = 600
DEFINED_AT = -60
JOB = "chaos.1.job"
DAG = "chaos.1.dag"
DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def occurrence(seconds: float, owner: str = JOB) -> str:
    return f"{owner}@{run_id_time(at(seconds))}"


class Story:
    def __init__(self) -> None:
        self.acts: list[Defined | Asked] = []
        self.lines: list[Line] = []
        self.runs: list[Run] = []
        self.attempts: list[Attempt] = []
        self.transitions: list[Transition] = []
        self.problems: list[Problem] = []
        self.effects: list[Effect] = []
        self.faults: list[Fault] = []
        self.audit_is_silent = False
        self._number = 0

    def history(self) -> History:
        fields: dict[str, Any] = {
            name: tuple(getattr(self, name))
            for name in ("acts", "runs", "attempts", "transitions", "problems", "effects", "faults")
        }
        lines = tuple(sorted(self.lines, key=lambda line: line.at))
        began = Began(at=at(DEFINED_AT), seed=1, boot_is=NOON)
        named = tuple(Named(run_id=each.run_id, token=each.token) for each in self.attempts if each.ended_as == "lost")
        named = () if self.audit_is_silent else named
        return History(began=began, until=at(UNTIL), lines=lines, named=named, **fields)

    def define(self, seconds: float, spec: Spec | None, owner: str = JOB, outcome: Outcome = "accepted") -> None:
        self.acts.append(Defined(sent=at(seconds), answered=at(seconds + 0.1), outcome=outcome, owner=owner, spec=spec))

    def job(self, begin: float = 0, end: float = 30, schedule: str = "*/10 * * * * *", **spec: Any) -> None:
        """A job whose schedule counts from 6 s before `begin` to 3 s after `end`; nothing is due next to a change."""
        wanted = Spec(schedule=schedule, **spec)
        self.define(begin - 6, wanted)
        self.define(end + 3, msgspec.structs.replace(wanted, schedule=None))

    def ask(self, seconds: float, request_id: str, owner: str = JOB, outcome: Outcome = "accepted", **what: Any) -> str:
        act = Asked(
            sent=at(seconds),
            answered=at(seconds + 0.1),
            outcome=outcome,
            owner=owner,
            request_id=request_id,
            **what,
        )
        self.acts.append(act)
        return act.new_run_id

    def process(
        self, run_id: str, begin: float, end: float, token: int = 1, *, code: int | None = 0, term: float | None = None
    ) -> None:
        """`code`: None means that it wrote no end, and gave a sign of life at `end`."""
        self._line("start", run_id, begin, token)
        if term is not None:
            self._line("term", run_id, term, token)
        if end > begin:
            self._line("alive" if code is None else "end", run_id, end, token, code)

    def alive(self, run_id: str, seconds: float, token: int = 1) -> None:
        self._line("alive", run_id, seconds, token)

    def attempt(self, run_id: str, begin: float, end: float, ended_as: str, token: int = 1, **more: Any) -> None:
        fields: dict[str, Any] = {"started_at": at(begin), "finished_at": at(end), "attempt": token} | more
        self.attempts.append(Attempt(run_id=run_id, token=token, ended_as=ended_as, **fields))

    def row(self, run_id: str, state: str, begin: float, end: float | None, **more: Any) -> None:
        owner, nominal = run_id.partition("/")[0], at(begin)
        name = owner.partition("@")[0].partition("#")[0]
        if "@" in owner:
            nominal = datetime.fromisoformat(owner.partition("@")[2])
        node = run_id.partition("/")[2] or None
        kind = "node" if node else "requested" if "#" in owner else "scheduled"
        self._number += 1
        fields: dict[str, Any] = {
            "kind": kind,
            "node_id": node,
            "nominal_time": nominal,
            "version": self._number,
            "finished_at": None if end is None else at(end),
        }
        self.runs.append(Run(run_id=run_id, job_id=name, state=state, **(fields | more)))
        self.transitions.append(
            Transition(run_id=run_id, version=self._number, at=at(end or begin), state=state, attempt=1)
        )

    def ran(self, run_id: str, begin: float, end: float, *, code: int = 0, token: int = 1, **more: Any) -> None:
        """A run with one attempt, as it should be."""
        how = "succeeded" if code == 0 else "failed"
        self.process(run_id, begin, end, token, code=code)
        self.attempt(run_id, begin, end, how, token, exit_code=code)
        self.row(run_id, how, begin, end, reason_code=None if code == 0 else "exit_code", **more)

    def ran_twice(self, run_id: str, begin: float, lost_at: float, again: float, end: float) -> None:
        """Its executor died; its lease ended, and the next attempt succeeded."""
        self.process(run_id, begin, begin + 0.5, 1, code=None)
        self.attempt(run_id, begin, lost_at, "lost", 1, reason_code="lease_expired")
        self.process(run_id, again, end, 2)
        self.attempt(run_id, again, end, "succeeded", 2, exit_code=0)
        self.row(run_id, "succeeded", begin, end)

    def skipped(self, seconds: float, blocked_by: str) -> None:
        more = {"reason_code": "overlap_skipped", "blocked_by": blocked_by}
        self.row(occurrence(seconds), "skipped", seconds, seconds, **more)

    def dag_run(self, seconds: float, state: str = "succeeded") -> str:
        """A diamond whose nodes take a second each."""
        run_id = occurrence(seconds, DAG)
        for node, begin in (("a", 0.1), ("b", 1.2), ("c", 1.3), ("d", 2.5)):
            self.ran(f"{run_id}/{node}", seconds + begin, seconds + begin + 1)
        self.row(run_id, state, seconds, seconds + 4, kind="dag")
        return run_id

    def kill(self, seconds: float, target: str = "executor-0") -> None:
        self.faults.append(Fault(at=at(seconds), fault="kill", target=target, until=at(seconds)))

    def _line(
        self,
        event: Literal["start", "alive", "term", "end"],
        run_id: str,
        seconds: float,
        token: int,
        code: int | None = None,
    ) -> None:
        whole = run_id.partition("/")[0]
        nominal = datetime.fromisoformat(whole.partition("@")[2]) if "@" in whole else at(seconds)
        written = Written(
            event=event,
            run_id=run_id,
            attempt=token,
            token=token,
            nominal=nominal,
            pid=100 + token,
            boot=seconds,
            real=at(seconds).timestamp(),
            code=code,
        )
        self.lines.append(Line(at=at(seconds), written=written))


def kinds(story: Story) -> list[Kind]:
    return [each.kind for each in judge(story.history()).violations]


def without(story: Story, run_id: str) -> None:
    for name in ("lines", "runs", "attempts", "transitions"):
        kept = [each for each in getattr(story, name) if getattr(each, "written", each).run_id != run_id]
        setattr(story, name, kept)
