"""A scenario in phrases: a job's settings and what happens to it, played on the simulated log."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from schemas.dispatch import Dispatch
from schemas.event import EndCause
from schemas.heartbeat import Heartbeat, Window
from schemas.status import RunStatus
from schemas.words import NEVER_RAN, RunKind, RunState
from streams.core.inputs import HeartbeatHeard
from streams.core.settings import CoreSettings
from streams.owner.records import InRecord
from tests.support.simulated.heartbeats import heartbeat as plain_heartbeat
from tests.support.simulated.log import BATCH_WAIT, START, Log, ended, started

EVERY_10S = "*/10 * * * * *"
ROOM = 50
UNITS = {"s": 1, "min": 60, "h": 3600}
TIME = r"(\d+:\d\d)"


@dataclass(kw_only=True)
class Process:
    """An attempt that the executor runs."""

    dispatch: Dispatch
    started_at: datetime
    ends_at: int
    exit_code: int = 0
    cause: EndCause = EndCause.EXITED


@dataclass(kw_only=True)
class Conditions:
    """What the phrases of a scenario set."""

    until: int = 60
    takes: dict[int | None, int] = field(default_factory=lambda: {None: 1})
    """Nominal time -> duration of the run, both in seconds; None: all other runs."""
    failing: set[int | None] = field(default_factory=set)
    cancel_seconds: int = 3
    """Seconds from a kill to the end of the process."""
    no_room: list[range] = field(default_factory=list)
    no_worker: list[range] = field(default_factory=list)
    records: dict[int, list[Callable[[Log], object]]] = field(default_factory=dict)
    """Second -> functions that append to the log."""

    def at(self, second: int, write: Callable[[Log], object]) -> None:
        self.records.setdefault(second, []).append(write)


PHRASES: dict[str, Callable[[Conditions, re.Match[str]], object]] = {
    r"until TIME": lambda conditions, said: setattr(conditions, "until", clock(said[1])),
    r"runs take (\d+) s": lambda conditions, said: conditions.takes.update({None: int(said[1])}),
    r"the run of TIME takes (\d+) s": lambda conditions, said: conditions.takes.update({clock(said[1]): int(said[2])}),
    r"runs fail": lambda conditions, _: conditions.failing.add(None),
    r"the run of TIME fails": lambda conditions, said: conditions.failing.add(clock(said[1])),
    r"cancelled runs take (\d+) s to end": lambda conditions, said: setattr(conditions, "cancel_seconds", int(said[1])),
    r"no room from TIME to TIME": lambda conditions, said: conditions.no_room.append(
        range(clock(said[1]), clock(said[2]))
    ),
    r"no worker from TIME to TIME": lambda conditions, said: conditions.no_worker.append(
        range(clock(said[1]), clock(said[2]))
    ),
    r"asked to run at TIME": lambda conditions, said: conditions.at(
        clock(said[1]), lambda log: log.request(f"r{said[1]}")
    ),
    r"backfill of TIME to TIME at TIME": lambda conditions, said: conditions.at(
        clock(said[3]), lambda log: log.request(f"b{said[3]}", kind="backfill", **backfilled(said[1], said[2]))
    ),
    r"the run of TIME is cancelled at TIME": lambda conditions, said: conditions.at(
        clock(said[2]),
        lambda log: log.request(
            f"c{said[1]}", kind="cancel", run_id=f"job@{START + timedelta(seconds=clock(said[1])):%Y-%m-%dT%H:%M:%SZ}"
        ),
    ),
}


class Scenario:
    """Plays a scenario second by second: executors report, the owner steps, executors start what was dispatched."""

    LOG: type[Log] = Log

    def __init__(self, settings: str, phrases: str) -> None:
        self._versions = [{"schedule": EVERY_10S, "timeout_class": "1m"} | fields(settings)]
        self.conditions = Conditions()
        for phrase in re.split(r";\s*", phrases.strip()):
            self._apply_phrase(phrase)
        self.log = self.LOG()
        self._running: dict[tuple[str, int], Process] = {}
        """(run, token) -> process."""
        self._seen_dispatches = self._seen_kills = 0

    def _apply_phrase(self, phrase: str) -> None:
        changed = re.fullmatch(rf"changed at {TIME}: (.*)", phrase)
        if changed:
            self._change(clock(changed[1]), changed[2])
            return
        for pattern, say in PHRASES.items():
            said = re.fullmatch(pattern.replace("TIME", TIME), phrase)
            if said:
                say(self.conditions, said)
                return
        raise AssertionError(f"{phrase!r} is not a phrase; phrases are: {', '.join(PHRASES)}, changed at TIME: …")

    def _change(self, second: int, assignments: str) -> None:
        self._versions.append(self._versions[-1] | fields(assignments))
        version = len(self._versions)
        self.conditions.at(second, lambda log: self._define(version, self._versions[version - 1]))

    def _define(self, version: int, fields: dict[str, object]) -> InRecord:
        return self.log.define(version, **fields)

    def play(self, *, new_owner_each_second: bool) -> list[str]:
        """Returns one line per occurrence, as `describe` writes it."""
        self.run(new_owner_each_second=new_owner_each_second)
        return [describe(status) for status in in_order(self.log.statuses().values())]

    def run(self, *, new_owner_each_second: bool) -> None:
        """A new owner knows only what is in the log."""
        log = self.log
        self._define(1, self._versions[0])
        owner = None
        for second in range(self.conditions.until + 1):
            log.now = START + timedelta(seconds=second)
            for write in self.conditions.records.get(second, ()):
                self._offer(owner, write(log))
            self._report_ends(owner, second)
            if any(second in absence for absence in self.conditions.no_worker):
                owner = None
                continue
            log.heartbeats = [self._heartbeat(second)]
            if owner is None or new_owner_each_second:
                owner = log.recover()
            owner.learn(log.heartbeats[0])
            log.turn(owner)
            while self._execute(owner, second):
                log.turn(owner)
            log.turn(owner, BATCH_WAIT.total_seconds())

    def _offer(self, owner, record) -> None:
        if owner is not None:
            owner.offer(record)

    def _report_ends(self, owner, second: int) -> None:
        for key, process in list(self._running.items()):
            if process.ends_at <= second:
                del self._running[key]
                event = ended(process.dispatch, self.log.now, process.exit_code, process.cause)
                event = msgspec.structs.replace(event, started_at=process.started_at)
                self._offer(owner, self.log.report(event))

    def _execute(self, owner, second: int) -> bool:
        """Starts new dispatches and obeys new kills; returns whether there were any."""
        dispatches, kills = self.log.dispatches(), self.log.kills()
        news = len(dispatches) + len(kills) > self._seen_dispatches + self._seen_kills
        for dispatch in dispatches[self._seen_dispatches :]:
            self._running[dispatch.run_id, dispatch.token] = self._start(dispatch, second)
            self._offer(owner, self.log.report(started(dispatch, self.log.now)))
        for kill in kills[self._seen_kills :]:
            key = kill.run_id, kill.token
            if key in self._running:
                process = self._running[key]
                process.ends_at = min(process.ends_at, second + (self.conditions.cancel_seconds if kill.grace else 1))
                process.exit_code, process.cause = 143, EndCause.CANCELLED
        self._seen_dispatches, self._seen_kills = len(dispatches), len(kills)
        return news

    def _start(self, dispatch: Dispatch, second: int) -> Process:
        nominal = int((dispatch.nominal_time - START).total_seconds())
        takes = self.conditions.takes.get(nominal, self.conditions.takes[None])
        limit = int(dispatch.limit.total_seconds())
        process = Process(dispatch=dispatch, started_at=self.log.now, ends_at=second + min(takes, limit))
        if takes > limit:
            process.exit_code, process.cause = 143, EndCause.LIMIT
        elif self.conditions.failing & {nominal, None}:
            process.exit_code = 1
        return process

    def _heartbeat(self, second: int) -> HeartbeatHeard:
        room = 0 if any(second in absence for absence in self.conditions.no_room) else ROOM
        return HeartbeatHeard(heartbeat=self.heartbeat(self.log.now, room), appended_at=self.log.now)

    @staticmethod
    def heartbeat(at: datetime, room: int) -> Heartbeat:
        """The heartbeat of an executor with `room` free slots in each class."""
        classes = [each.name for each in CoreSettings().classes]
        return plain_heartbeat(
            at, windows=tuple(Window(timeout_class=each, partition=0, size=room) for each in classes)
        )


def fields(assignments: str) -> dict[str, object]:
    """`overlap_policy = skip, buffer_limit = 2`"""
    pairs = (each.partition("=") for each in assignments.split(",") if each.strip())
    return {name.strip(): value_of(value.strip()) for name, _, value in pairs}


def backfilled(begin: str, end: str) -> dict[str, object]:
    """A backfill request as the table's trigger completes it, for occurrences that have not run."""
    stretch = {"backfill_from": value_of(begin).isoformat(), "backfill_to": value_of(end).isoformat()}
    return {**stretch, "reprocess": "none", "max_active_runs": 1, "run_backwards": False, "dry_run": False, "ran": None}


def value_of(text: str) -> object:
    duration = re.fullmatch(r"(\d+) (s|min|h)", text)
    if duration:
        return timedelta(seconds=int(duration[1]) * UNITS[duration[2]])
    if re.fullmatch(TIME, text):
        return START + timedelta(seconds=clock(text))
    return {"true": True, "false": False, "": None}.get(text, int(text) if text.isdigit() else text)


def clock(text: str) -> int:
    minutes, _, seconds = text.partition(":")
    return int(minutes) * 60 + int(seconds)


def in_order(statuses) -> list[RunStatus]:
    return sorted(statuses, key=lambda each: (each.nominal_time, each.run_id))


def describe(status: RunStatus) -> str:
    """`0:10 succeeded 0:10-0:35`, `0:20 skipped: overlap`, `0:30-0:50 missed: catchup_latest`, `0:40 queued`."""
    what = f"request of {_at(status.nominal_time)}" if status.kind is RunKind.REQUESTED else _at(status.nominal_time)
    if status.missed and status.missed.count > 1:
        what += f"-{_at(status.missed.last)}"
    what += f" {status.state.value}"
    if status.state in NEVER_RAN:
        return f"{what}: {status.reason_code or ''}"
    if status.state is RunState.RUNNING:
        return f"{what} since {_at(status.attempts[-1].started_at)}"
    if status.state.is_final and status.started_at:
        return f"{what} {_at(status.started_at)}-{_at(status.finished_at)}"
    return what


def _at(instant: datetime | None) -> str:
    assert instant is not None
    minutes, seconds = divmod(int((instant - START).total_seconds()), 60)
    return f"{minutes}:{seconds:02}"
