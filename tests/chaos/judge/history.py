"""What the judge looks at: what was asked for, what processes wrote themselves, what the read model says, which faults.

All instants are of one clock: the boot-time clock of the machine, shifted once to wall time (`Began.boot_is`). A step
of the wall clock therefore moves nothing. Only the times in rows come from other clocks: of Postgres and brokers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec


class Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a job or DAG asks for, as far as the judge needs it."""

    schedule: str | None = None
    paused: bool = False
    overlap_policy: str = "skip"
    on_delete: str = "finish"
    nodes: dict[str, tuple[str, ...]] | None = None
    """Of a DAG: each node with those that it depends on."""


Outcome = Literal["accepted", "refused", "unknown"]


class Act(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    sent: datetime
    answered: datetime
    """Between these two it took effect, unless it was refused."""
    outcome: Outcome
    owner: str
    said: str = ""
    """The answer, if it is not simply yes."""
    database_time: datetime | None = None


class Defined(Act, frozen=True, kw_only=True, omit_defaults=True, tag="defined"):
    """A job or DAG was created, changed or deleted."""

    spec: Spec | None
    """None: it was deleted."""


class Asked(Act, frozen=True, kw_only=True, omit_defaults=True, tag="asked"):
    """A request, as a row or as a record."""

    request_id: str
    kind: Literal["run", "cancel", "terminate", "rerun"] = "run"
    door: Literal["sql", "kafka"] = "sql"
    run_id: str | None = None
    run_at: datetime | None = None

    @property
    def new_run_id(self) -> str:
        return f"{self.owner}#{self.request_id}"


class Began(msgspec.Struct, frozen=True, kw_only=True, tag="began"):
    """The first line of a load's journal."""

    at: datetime
    seed: int
    boot_is: datetime
    """Wall time at boot-time clock 0."""


Entry = Began | Defined | Asked


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A line as a process writes it."""

    event: Literal["start", "alive", "term", "end"]
    run_id: str
    attempt: int
    token: int
    nominal: datetime
    pid: int
    boot: float
    """Seconds, CLOCK_BOOTTIME, in steps of 10 ms."""
    real: float
    """Seconds since 1970, CLOCK_REALTIME."""
    code: int | None = None
    """With `end`: the exit code that follows."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    written: Written


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `tidemill.runs`."""

    run_id: str
    job_id: str
    kind: str
    state: str
    nominal_time: datetime
    version: int = 0
    node_id: str | None = None
    reason: str | None = None
    reason_code: str | None = None
    blocked_by: str | None = None
    queued_at: datetime | None = None
    finished_at: datetime | None = None
    request_id: str | None = None
    rerun_id: str | None = None
    missed_from: datetime | None = None
    missed_to: datetime | None = None
    missed_count: int | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `tidemill.attempts`."""

    run_id: str
    attempt: int
    token: int
    dispatched_at: datetime | None = None
    executor_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    ended_as: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    reason_code: str | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `tidemill.transitions`."""

    run_id: str
    version: int
    at: datetime
    state: str
    attempt: int
    reason_code: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `tidemill.problems`."""

    at: datetime
    kind: str
    code: str
    reason: str
    owner: str | None = None
    request_id: str | None = None
    run_id: str | None = None


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A row that a process wrote in a transaction of its own, behind the fence."""

    number: int
    """The order of the commits."""
    run_id: str
    attempt: int
    token: int


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    fault: str
    target: str
    until: datetime | None = None
    """None: it is not healed. A kill -9 ends when it begins; its consequences are in `Bounds.recovery`."""
    left_out: str | None = None
    """Why it did not happen."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A lost attempt that `tidemill audit` names, because its run was executed again."""

    run_id: str
    token: int


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as the same time, and what as too late."""

    tolerance: timedelta = timedelta(seconds=30)
    """A run starts so long after its time at most, not counting faults and runs that its policy makes it wait for."""
    recovery: timedelta = timedelta(seconds=60)
    """A fault has consequences for so long after its end: lease, election, restart."""
    applied: timedelta = timedelta(seconds=3)
    """A change of a definition is known to the streams so long after its answer at most, not counting faults."""
    applied_recovery: timedelta = timedelta(seconds=15)
    """For a change, a fault has consequences for so long after its end: the connector reads on, a worker recovers."""
    clocks: timedelta = timedelta(seconds=2)
    """The clocks of Postgres, brokers and this machine differ by less. Near a change either definition counts."""
    cluster_clock: timedelta = timedelta(milliseconds=250)
    """The cluster clock, which dates rows and decides what is due, differs from this machine's by less."""
    instant: timedelta = timedelta(milliseconds=30)
    """Two lines in the journal this close may be in either order."""
    stop: timedelta = timedelta(seconds=2)
    """A process may have written its end, and be stopped before it is gone, within this time."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    began: Began
    until: datetime
    """When all was read. Everything is healed, nothing is due any more, all that was open had time to end."""
    acts: tuple[Defined | Asked, ...] = ()
    lines: tuple[Line, ...] = ()
    torn: tuple[str, ...] = ()
    """Lines of the journal that cannot be read: their process died while it wrote."""
    runs: tuple[Run, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    transitions: tuple[Transition, ...] = ()
    problems: tuple[Problem, ...] = ()
    effects: tuple[Effect, ...] = ()
    faults: tuple[Fault, ...] = ()
    named: tuple[Named, ...] = ()
    bounds: Bounds = Bounds()
