"""A job, what happens around it, and what becomes of its occurrences: told in words, played on the simulated log."""

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
from streams.core.policy.rules import Rules
from streams.owner.records import InRecord
from tests.support.simulated.heartbeats import heartbeat as plain_heartbeat
from tests.support.simulated.log import BATCH_WAIT, START, Log, ended, started

EVERY_10S = "*/10 * * * * *"
ROOM = 50
UNITS = {"s": 1, "min": 60, "h": 3600}
TIME = r"(\d+:\d\d)"


@dataclass(kw_only=True)
class Process:
    """An attempt that an executor has in hand."""

    dispatch: Dispatch
    started_at: datetime
    ends_at: int
    exit_code: int = 0
    cause: EndCause = EndCause.EXITED


@dataclass(kw_only=True)
class World:
    """What the phrases of a story say."""

    until: int = 60
    takes: dict[int | None, int] = field(default_factory=lambda: {None: 1})
    """Seconds, by nominal time; None: all others."""
    failing: set[int | None] = field(default_factory=set)
    dies_in: int = 3
    no_room: list[range] = field(default_factory=list)
    no_worker: list[range] = field(default_factory=list)
    records: dict[int, list[Callable[[Log], object]]] = field(default_factory=dict)
    """What is written into the log, by second."""

    def at(self, second: int, write: Callable[[Log], object]) -> None:
        self.records.setdefault(second, []).append(write)


PHRASES: dict[str, Callable[[World, re.Match[str]], object]] = {
    r"until TIME": lambda world, said: setattr(world, "until", clock(said[1])),
    r"runs take (\d+) s": lambda world, said: world.takes.update({None: int(said[1])}),
    r"the run of TIME takes (\d+) s": lambda world, said: world.takes.update({clock(said[1]): int(said[2])}),
    r"runs fail": lambda world, _: world.failing.add(None),
    r"the run of TIME fails": lambda world, said: world.failing.add(clock(said[1])),
    r"cancelled runs take (\d+) s to end": lambda world, said: setattr(world, "dies_in", int(said[1])),
    r"no room from TIME to TIME": lambda world, said: world.no_room.append(range(clock(said[1]), clock(said[2]))),
    r"no worker from TIME to TIME": lambda world, said: world.no_worker.append(range(clock(said[1]), clock(said[2]))),
    r"asked to run at TIME": lambda world, said: world.at(clock(said[1]), lambda log: log.request(f"r{said[1]}")),
    r"backfill of TIME to TIME at TIME": lambda world, said: world.at(
        clock(said[3]), lambda log: log.request(f"b{said[3]}", kind="backfill", **backfilled(said[1], said[2]))
    ),
    r"the run of TIME is cancelled at TIME": lambda world, said: world.at(
        clock(said[2]),
        lambda log: log.request(
            f"c{said[1]}", kind="cancel", run_id=f"job@{START + timedelta(seconds=clock(said[1])):%Y-%m-%dT%H:%M:%SZ}"
        ),
    ),
}


class Story:
    """Second by second: executors report, the owner steps, executors take what was dispatched."""

    LOG: type[Log] = Log

    def __init__(self, settings: str, happenings: str) -> None:
        self._versions = [{"schedule": EVERY_10S, "timeout_class": "1m"} | fields(settings)]
        self.world = World()
        for phrase in re.split(r";\s*", happenings.strip()):
            self._hear(phrase)
        self.log = self.LOG()
        self._in_hand: dict[tuple[str, int], Process] = {}
        """By (run, token)."""
        self._seen_dispatches = self._seen_kills = 0

    def _hear(self, phrase: str) -> None:
        changed = re.fullmatch(rf"changed at {TIME}: (.*)", phrase)
        if changed:
            self._change(clock(changed[1]), changed[2])
            return
        for pattern, say in PHRASES.items():
            said = re.fullmatch(pattern.replace("TIME", TIME), phrase)
            if said:
                say(self.world, said)
                return
        raise AssertionError(f"{phrase!r} is none of the phrases {', '.join(PHRASES)}, changed at TIME: …")

    def _change(self, second: int, assignments: str) -> None:
        self._versions.append(self._versions[-1] | fields(assignments))
        version = len(self._versions)
        self.world.at(second, lambda log: self._define(version, self._versions[version - 1]))

    def _define(self, version: int, fields: dict[str, object]) -> InRecord:
        return self.log.define(version, **fields)

    def play(self, *, restless: bool) -> list[str]:
        """What became of the occurrences."""
        self.pass_time(restless=restless)
        return [told(status) for status in in_order(self.log.statuses().values())]

    def pass_time(self, *, restless: bool) -> None:
        """With `restless` each second has a new owner, who knows only the log."""
        log = self.log
        self._define(1, self._versions[0])
        owner = None
        for second in range(self.world.until + 1):
            log.now = START + timedelta(seconds=second)
            for write in self.world.records.get(second, ()):
                self._offer(owner, write(log))
            self._end_what_is_over(owner, second)
            if any(second in absence for absence in self.world.no_worker):
                owner = None
                continue
            log.heartbeats = [self._heartbeat(second)]
            if owner is None or restless:
                owner = log.recover()
            owner.learn(log.heartbeats[0])
            log.turn(owner)
            while self._take_orders(owner, second):
                log.turn(owner)
            log.turn(owner, BATCH_WAIT.total_seconds())

    def _offer(self, owner, record) -> None:
        if owner is not None:
            owner.offer(record)

    def _end_what_is_over(self, owner, second: int) -> None:
        for key, process in list(self._in_hand.items()):
            if process.ends_at <= second:
                del self._in_hand[key]
                event = ended(process.dispatch, self.log.now, process.exit_code, process.cause)
                event = msgspec.structs.replace(event, started_at=process.started_at)
                self._offer(owner, self.log.report(event))

    def _take_orders(self, owner, second: int) -> bool:
        """Dispatches are started and kills obeyed; whether there were any."""
        dispatches, kills = self.log.dispatches(), self.log.kills()
        news = len(dispatches) + len(kills) > self._seen_dispatches + self._seen_kills
        for dispatch in dispatches[self._seen_dispatches :]:
            self._in_hand[dispatch.run_id, dispatch.token] = self._start(dispatch, second)
            self._offer(owner, self.log.report(started(dispatch, self.log.now)))
        for kill in kills[self._seen_kills :]:
            key = kill.run_id, kill.token
            if key in self._in_hand:
                process = self._in_hand[key]
                process.ends_at = min(process.ends_at, second + (self.world.dies_in if kill.grace else 1))
                process.exit_code, process.cause = 143, EndCause.CANCELLED
        self._seen_dispatches, self._seen_kills = len(dispatches), len(kills)
        return news

    def _start(self, dispatch: Dispatch, second: int) -> Process:
        nominal = int((dispatch.nominal_time - START).total_seconds())
        takes = self.world.takes.get(nominal, self.world.takes[None])
        limit = int(dispatch.limit.total_seconds())
        process = Process(dispatch=dispatch, started_at=self.log.now, ends_at=second + min(takes, limit))
        if takes > limit:
            process.exit_code, process.cause = 143, EndCause.LIMIT
        elif self.world.failing & {nominal, None}:
            process.exit_code = 1
        return process

    def _heartbeat(self, second: int) -> HeartbeatHeard:
        room = 0 if any(second in absence for absence in self.world.no_room) else ROOM
        return HeartbeatHeard(heartbeat=self.heartbeat(self.log.now, room), appended_at=self.log.now)

    @staticmethod
    def heartbeat(at: datetime, room: int) -> Heartbeat:
        """Of an executor with so much room in each class."""
        classes = [each.name for each in Rules().classes]
        return plain_heartbeat(
            at, windows=tuple(Window(timeout_class=each, partition=0, size=room) for each in classes)
        )


def fields(assignments: str) -> dict[str, object]:
    """`overlap_policy = skip, buffer_limit = 2`"""
    pairs = (each.partition("=") for each in assignments.split(",") if each.strip())
    return {name.strip(): value_of(value.strip()) for name, _, value in pairs}


def backfilled(begin: str, end: str) -> dict[str, object]:
    """As the trigger of the table completes it, of what has not run."""
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


def told(status: RunStatus) -> str:
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
