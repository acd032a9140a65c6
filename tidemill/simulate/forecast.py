"""Plays a definition ahead of time: the core of the streams decides, and executors have room at once. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

import msgspec

from schemas.confinement import NOTHING_ASKED
from schemas.dag import DagSpec
from schemas.dispatch import Dispatch
from schemas.event import EndCause, Ended, Event, EventBatch, Started
from schemas.heartbeat import ExecutorState, Heartbeat, Window
from schemas.ids import ExecutorId
from schemas.job import Definition, JobSpec
from schemas.reasons import ProblemCode
from schemas.status import RunStatus
from schemas.times import MILLISECOND
from streams.core import inputs as i
from streams.core.effects import Effect, Origin, PublishStatus, PutRun, ReportProblem, SendDispatch, SendKill
from streams.core.settings import CoreSettings
from streams.core.state import OwnerState
from streams.core.step import next_due, step

STEPS = 300_000
"""A simulation stops after so many steps of the core: about 100,000 runs, in half a minute."""
_EXECUTOR = ExecutorId("simulated.1")
_ROOM = 1_000_000
_TERM = 128 + 15
_OF_A_DEFINITION = frozenset({ProblemCode.INVALID_SCHEDULE, ProblemCode.CLASS_UNKNOWN, ProblemCode.QUARANTINED})
_ORIGIN = Origin(topic="cdc", offset=0, key=None, value=None)
_KEY = tuple[str, int]


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a simulated process goes."""

    takes: timedelta | None
    """None: longer than any limit."""
    exit_code: int = 0


Draw = Callable[[Dispatch], Ending]


class Occurrence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of an occurrence, or of a range of occurrences that did not run."""

    nominal_time: datetime
    scheduled_time: datetime
    state: str
    reason_code: str | None
    started_at: datetime | None
    finished_at: datetime | None
    count: int
    """More than 1: it is a range."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    begin: datetime
    until: datetime
    """Occurrences in [begin, until) are decided. Earlier than asked: it took too many steps."""
    occurrences: list[Occurrence]
    """By nominal time."""
    processes: list[tuple[datetime, datetime]]
    """The start and end of each process up to `until`, by start."""
    problems: list[str]
    """What the core reports of the definition, such as that its schedule cannot be followed."""


def _at_once(grace: timedelta) -> timedelta:  # noqa: ARG001 - it needs none of its grace
    return timedelta(0)


def forecast(
    definition: Definition,
    begin: datetime,
    end: datetime,
    draw: Draw,
    settings: CoreSettings,
    *,
    stops_in: Callable[[timedelta], timedelta] = _at_once,
    most_steps: int = STEPS,
    turn: Callable[[float], object] = lambda _: None,
) -> Forecast:
    """Decide the occurrences in [begin, end).

    `stops_in`: from a grace to the time until a stopped process ends. `turn` is called with the share that is done.
    """
    play = _Play(state=OwnerState(partition=0, settings=settings), now=begin - MILLISECOND, draw=draw)
    play.stops_in, play.steps_left = stops_in, most_steps
    play.begin(definition, end)
    while (at := play.next_time()) is not None and at < end and play.steps_left > 0:
        play.advance(at)
        turn((at - begin) / (end - begin))
    until = end if play.steps_left > 0 else play.now
    play.processes += [(process.started_at, until) for process in play.running.values()]
    return Forecast(
        begin=begin,
        until=until,
        occurrences=sorted(
            (each for each in play.occurrences.values() if begin <= each.nominal_time < until),
            key=lambda each: each.nominal_time,
        ),
        processes=sorted((start, min(end, until)) for start, end in play.processes if start < until),
        problems=play.problems,
    )


class _Process(msgspec.Struct, frozen=True, kw_only=True):
    dispatch: Dispatch
    started_at: datetime


@dataclass(slots=True, kw_only=True)
class _Play:
    state: OwnerState
    now: datetime
    draw: Draw
    stops_in: Callable[[timedelta], timedelta] = field(default=_at_once)
    steps_left: int = STEPS
    occurrences: dict[str, Occurrence] = field(default_factory=dict)
    """By run."""
    running: dict[_KEY, _Process] = field(default_factory=dict)
    """By run and token."""
    stopping: set[_KEY] = field(default_factory=set)
    """Processes that got TERM: they end by it, even if they would have ended before it takes effect."""
    ends: list[tuple[datetime, int, _KEY, EndCause, int]] = field(default_factory=list)
    """A heap, with more than one entry for a process that is stopped: the first one counts."""
    order: count[int] = field(default_factory=count)
    processes: list[tuple[datetime, datetime]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def begin(self, definition: Definition, end: datetime) -> None:
        """An executor with much room is there until after the end, and the definition arrives just before the begin."""
        heard_at = end + self.state.settings.lease
        self._step(i.HeartbeatHeard(heartbeat=_heartbeat(self.state.settings, heard_at), appended_at=heard_at))
        self._step(i.ClockAdvanced())
        known = msgspec.structs.replace(definition, valid_from=self.now, spec=_unconfined(definition.spec))
        self._step(i.DefinitionChanged(definition=known, origin=_ORIGIN))

    def next_time(self) -> datetime | None:
        due = next_due(self.state)
        return min((each for each in (due, self.ends[0][0] if self.ends else None) if each), default=None)

    def advance(self, at: datetime) -> None:
        """What ends now is reported first, so an occurrence of the same time finds it gone."""
        self.now = max(self.now, at)
        ended: list[Event] = []
        while self.ends and self.ends[0][0] <= self.now:
            _, _, key, cause, exit_code = heapq.heappop(self.ends)
            if process := self.running.pop(key, None):
                self.processes.append((process.started_at, self.now))
                if key in self.stopping:
                    self.stopping.discard(key)
                    cause, exit_code = EndCause.CANCELLED, _TERM
                ended.append(_ended(process, self.now, cause, exit_code))
        if ended:
            self._report(ended)
        self._step(i.ClockAdvanced())
        while (self.state.has_more_to_do or self.state.durable.cursor) and self.steps_left > 0:
            self._step(i.ClockAdvanced())

    def _report(self, events: list[Event]) -> None:
        self._step(
            i.ExecutorReported(batch=EventBatch(executor_id=_EXECUTOR, events=tuple(events)), appended_at=self.now)
        )

    def _step(self, input_: i.Input) -> None:
        """Also again, if the transaction was too small for its effects; and what it dispatched starts at once."""
        started: list[Event] = []
        while True:
            self.steps_left -= 1
            self.state.begin_transaction()
            for effect in step(self.state, input_, self.now):
                self._carry_out(effect, started)
            if not self.state.step.is_cut or self.steps_left <= 0:
                break
        if started:
            self._report(started)

    def _carry_out(self, effect: Effect, started: list[Event]) -> None:
        match effect:
            case PutRun(run=run) if run.status.node_id is None:
                self.occurrences[run.run_id] = _occurrence(run.status)
            case PublishStatus(status=status) if status.node_id is None:
                self.occurrences[status.run_id] = _occurrence(status)
            case SendDispatch(dispatch=dispatch):
                started.append(self._start(dispatch))
            case SendKill(kill=kill):
                key = (kill.run_id, kill.token)
                self.stopping.add(key)
                self._end_at(self.now + self.stops_in(kill.grace), key, EndCause.CANCELLED, _TERM)
            case ReportProblem(code=code, reason=reason) if code in _OF_A_DEFINITION:
                self.problems.append(reason)
            case _:
                pass

    def _start(self, dispatch: Dispatch) -> Started:
        key, ending = (dispatch.run_id, dispatch.token), self.draw(dispatch)
        self.running[key] = _Process(dispatch=dispatch, started_at=self.now)
        if ending.takes is None or ending.takes > dispatch.limit:
            self._end_at(self.now + dispatch.limit, key, EndCause.LIMIT, _TERM)
        else:
            self._end_at(self.now + ending.takes, key, EndCause.EXITED, ending.exit_code)
        return Started(
            run_id=dispatch.run_id, attempt=dispatch.attempt, token=dispatch.token, at=self.now, sha256="0" * 64
        )

    def _end_at(self, at: datetime, key: _KEY, cause: EndCause, exit_code: int) -> None:
        heapq.heappush(self.ends, (at, next(self.order), key, cause, exit_code))


def _ended(process: _Process, at: datetime, cause: EndCause, exit_code: int) -> Ended:
    dispatch = process.dispatch
    return Ended(
        run_id=dispatch.run_id,
        attempt=dispatch.attempt,
        token=dispatch.token,
        at=at,
        cause=cause,
        exit_code=exit_code,
        started_at=process.started_at,
    )


def _occurrence(status: RunStatus) -> Occurrence:
    return Occurrence(
        nominal_time=status.nominal_time,
        scheduled_time=status.scheduled_time,
        state=status.state.value,
        reason_code=status.reason_code and status.reason_code.value,
        started_at=status.started_at,
        finished_at=status.finished_at,
        count=status.missed.count if status.missed else 1,
    )


def _heartbeat(settings: CoreSettings, at: datetime) -> Heartbeat:
    windows = tuple(Window(timeout_class=each.name, partition=0, size=_ROOM) for each in settings.classes)
    return Heartbeat(
        executor_id=_EXECUTOR,
        name="simulated",
        host="simulated",
        version="",
        state=ExecutorState.RUNNING,
        at=at,
        interval=settings.lease,
        slots=(),
        windows=windows,
        attempts=(),
    )


def _unconfined(spec: JobSpec | DagSpec | None) -> JobSpec | DagSpec | None:
    """The simulated executor gives all that a sandbox asks for."""
    free = {name: getattr(NOTHING_ASKED, name) for name in NOTHING_ASKED.__struct_fields__}
    if isinstance(spec, DagSpec):
        return msgspec.structs.replace(spec, nodes=tuple(msgspec.structs.replace(node, **free) for node in spec.nodes))
    return spec and msgspec.structs.replace(spec, **free)
