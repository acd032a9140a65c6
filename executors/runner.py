"""Carries out what the life of an attempt asks for: the one place where `executors.attempt` meets the world."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, assert_never

import structlog

from executors.attempt import Act, Fact, Phase, advance
from executors.checkpoints import Checkpoints, is_left
from executors.claim import Chosen, ClaimDecision
from executors.clock import boot_seconds
from executors.control import Order
from executors.deadlines import Terms
from executors.environment import environment
from executors.events import EventLog, Report
from executors.executables import Executable, Executables
from executors.in_hand import Attempt, contained, ended, log_end, lose, rejected
from executors.kills import Kills
from executors.logs import LogStore, LogStream, Output
from executors.memory import OutOfMemory, of_this_process, problem
from executors.places import Place
from executors.process import Exited, Notice, Refused, Renewed, Spawned, Spec, SupervisorLink
from executors.removal import remove_tree
from executors.results import Results, is_far, is_written, stdin_of
from executors.slots import Slots
from executors.workspace import Workspace
from schemas.control import LOOK_BACK, Kill
from schemas.dispatch import Dispatch
from schemas.event import Claimed, EndCause, Ended, Event, Expired, Rejected, Started
from schemas.heartbeat import AttemptInHand
from schemas.kept_clock import KeptClock

_LOG = structlog.get_logger()
_LONG_RUN_SECONDS = 5.0
"""From then on also a short output can be followed in S3 while the process runs."""

_ON_LEASE = (Phase.FETCHING, Phase.STARTED)
"""The grace of the claim is over, and the supervisor does not know the attempt yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the settings say about attempts."""

    margin: timedelta
    grace: timedelta
    path: str
    log_max_bytes: int
    secret: Callable[[str], str]


@dataclass(slots=True, kw_only=True)
class Runner:
    """Used from the event loop alone."""

    policy: Policy
    clock: KeptClock
    slots: Slots
    events: EventLog
    executables: Executables
    logs: LogStore
    checkpoints: Checkpoints
    results: Results
    workspace: Workspace
    link: SupervisorLink
    tasks: asyncio.TaskGroup
    renewed: Callable[[], float]
    """When the last acknowledged heartbeat was sent (CLOCK_BOOTTIME)."""
    on_ran: Callable[[str, float], None]
    """(timeout class, for how many seconds a process was there)"""
    attempts: dict[int, Attempt] = field(default_factory=dict)
    """By number, until the end is acknowledged."""
    kills: Kills = field(default_factory=Kills)
    out_of_memory: OutOfMemory = field(default_factory=of_this_process)
    _work: set[asyncio.Task[None]] = field(default_factory=set)
    _last_number: int = 0

    # What happens

    def take(self, timeout_class: str, claimed: Iterable[Chosen]) -> None:
        for chosen in claimed:
            polled = chosen.polled
            if polled.dispatch is None:
                continue
            assert polled.commit_sent is not None
            self._last_number += 1
            attempt = Attempt(
                number=self._last_number,
                dispatch=polled.dispatch,
                timeout_class=timeout_class,
                partition=polled.partition,
                read=polled.read,
                committed=polled.commit_sent,
            )
            if chosen.decision is ClaimDecision.RUN:
                self.attempts[attempt.number] = attempt
                self._begin(attempt)
            else:
                self._say(attempt, Expired(**attempt.identity, at=self.clock.now()), _nothing)

    def hear(self, notice: Notice) -> None:
        if isinstance(notice, Renewed):
            return
        attempt = self.attempts[notice.number]
        match notice:
            case Spawned(at=at):
                attempt.started = at
                self._happen(attempt, Fact.SPAWNED)
            case Refused(reason=reason):
                self._fail(attempt, f"the process could not be started: {reason}")
            case Exited():
                attempt.exited = notice
                if notice.code and notice.cause is EndCause.EXITED:
                    attempt.memory_problem = problem(attempt.kills_before, self.out_of_memory.kills(), notice.code)
                self._happen(attempt, Fact.EXITED)
            case _:
                assert_never(notice)

    def obey(self, orders: Iterable[Order]) -> None:
        """What owners say, and say again while a heartbeat lists the attempt. It may be in hand, or nowhere yet."""
        now = self.clock.now()
        for order in orders:
            kill = order.kill
            self.kills.remember(kill, order.appended_at + min(kill.valid_for, LOOK_BACK), now)
            for attempt in [each for each in self.attempts.values() if _is_meant(kill, each.dispatch)]:
                self._condemn(attempt, EndCause.CANCELLED, kill.grace.total_seconds())

    def stop(self, grace_seconds: float) -> None:
        """End everything that is not ended yet."""
        for attempt in list(self.attempts.values()):
            self._condemn(attempt, EndCause.STOPPED, grace_seconds)

    def renew(self) -> None:
        """A heartbeat is acknowledged, before its renewal counts: a lease that ran out until now is not called back.

        Processes are the supervisor's matter; here it is about those that have none yet.
        """
        for attempt in list(self.attempts.values()):
            if attempt.phase in _ON_LEASE and attempt.announced and self._has_lapsed(attempt):
                self._condemn(attempt, EndCause.LEASE, grace_seconds=0.0)

    @property
    def is_idle(self) -> bool:
        """Nothing is in hand, and all that was said is heard: also of dispatches that were too old to be run."""
        return not self.attempts and not self.events.unacknowledged

    def in_hand(self) -> tuple[AttemptInHand, ...]:
        return tuple(
            AttemptInHand(run_id=each.dispatch.run_id, token=each.dispatch.token, partition=each.partition)
            for each in self.attempts.values()
        )

    def in_hand_by_partition(self, timeout_class: str) -> Counter[int]:
        return Counter(each.partition for each in self.attempts.values() if each.timeout_class == timeout_class)

    def upload_logs(self) -> None:
        """Every now and then: what long outputs and long runs have gained goes to S3."""
        for attempt in self.attempts.values():
            if attempt.phase is Phase.RUNNING and attempt.output and attempt.started is not None:
                is_long = boot_seconds() - attempt.started > _LONG_RUN_SECONDS
                if attempt.output.streams or (is_long and attempt.output.total_bytes):
                    self._background(attempt.output.upload())

    def close(self) -> None:
        """The end of the executor: what still waits for S3 is given up."""
        for task in self._work:
            task.cancel()
        self.executables.close()
        self.logs.close()
        self.checkpoints.close()
        self.results.close()
        self.workspace.close()

    # What is done about it

    def _happen(self, attempt: Attempt, fact: Fact) -> None:
        attempt.phase, act = advance(attempt.phase, fact)
        if act is not None:
            self._carry_out(attempt, act)

    def _carry_out(self, attempt: Attempt, act: Act) -> None:  # noqa: C901 - one line per act, best read whole
        match act:
            case Act.ANNOUNCE:
                self._say(attempt, Claimed(**attempt.identity, at=self.clock.now()), self._acknowledged)
            case Act.FETCH:
                attempt.announced = True
                self._background(self._fetch(attempt))
            case Act.START:
                self._start(attempt)
            case Act.SPAWN:
                self._spawn(attempt)
            case Act.NOTE:
                _LOG.info("started", **attempt.identity)
            case Act.KILL:
                self.link.kill(attempt.number, attempt.cause, attempt.grace_seconds)
            case Act.REPORT:
                assert attempt.output is not None
                attempt.output.at_end(partial(self._report, attempt))
            case Act.GIVE_UP:
                self._end(attempt, ended(attempt, self.clock))
            case Act.REJECT:
                self._end(attempt, rejected(attempt, self.clock))
            case Act.FORGET:
                self._close(attempt)
                self._forget(attempt)
            case _:
                assert_never(act)

    def _begin(self, attempt: Attempt) -> None:
        if self.kills.has(attempt.dispatch.run_id, attempt.dispatch.token):
            self._condemn(attempt, EndCause.CANCELLED, grace_seconds=0.0)
        else:
            self._look_up(attempt)

    def _condemn(self, attempt: Attempt, cause: EndCause, grace_seconds: float) -> None:
        attempt.cause, attempt.grace_seconds = cause, grace_seconds
        self._happen(attempt, Fact.CONDEMNED)

    def _look_up(self, attempt: Attempt) -> None:
        if self._is_void(attempt):  # frozen since the commit
            self._happen(attempt, Fact.LATE)
            return
        has_to_fetch = attempt.dispatch.checkpoint or is_far(attempt.dispatch)
        with contained(attempt, self._fail):
            wanted = attempt.dispatch
            attempt.executable = self.executables.cached(wanted.executable, wanted.sha256, attempt.read)
            if attempt.executable and has_to_fetch:
                self._make_place(attempt, attempt.executable)
        if attempt.executable and not has_to_fetch:
            self._happen(attempt, Fact.CACHED)
        elif attempt.dispatch.sha256 or has_to_fetch:
            self._happen(attempt, Fact.ABSENT)
        elif attempt.phase is Phase.CLAIMED:
            self._background(self._ask(attempt))

    async def _ask(self, attempt: Attempt) -> None:
        with contained(attempt, self._fail):
            attempt.executable = await self.executables.look_up(attempt.dispatch.executable, attempt.read)
        if self._is_void(attempt):
            self._happen(attempt, Fact.LATE)
        else:
            self._happen(attempt, Fact.CACHED if attempt.executable else Fact.ABSENT)

    async def _fetch(self, attempt: Attempt) -> None:
        with contained(attempt, self._fail):
            dispatch = attempt.dispatch
            if not attempt.place:
                attempt.executable = await self.executables.fetch(dispatch.executable, dispatch.sha256)
                if attempt.phase is not Phase.FETCHING:  # given up meanwhile
                    return
                self._make_place(attempt, attempt.executable)
            if dispatch.checkpoint:
                await self._restore(attempt, dispatch.checkpoint)
            if is_far(dispatch):
                attempt.given = await self.results.fetch(dispatch)
        self._happen(attempt, Fact.CACHED)

    def _make_place(self, attempt: Attempt, executable: Executable) -> Place:
        """As soon as its executable is at hand, which may be evicted otherwise."""
        attempt.place = self.workspace.places.take(executable.path, executable.name)
        return attempt.place

    async def _restore(self, attempt: Attempt, checkpoint: str) -> None:
        assert attempt.place is not None
        attempt.kept = await self.checkpoints.restore(checkpoint, attempt.place)
        if attempt.phase is not Phase.FETCHING:  # given up meanwhile; the unpacking may have gone on
            await asyncio.to_thread(remove_tree, attempt.place.directory)

    def _start(self, attempt: Attempt) -> None:
        """Everything that can fail is prepared first; the acknowledgement takes long enough for it anyway."""
        assert attempt.executable is not None
        with contained(attempt, self._fail):
            attempt.spec = self._prepare(attempt, attempt.executable)
        if attempt.spec:
            started = Started(**attempt.identity, at=self.clock.now(), sha256=attempt.executable.sha256)
            self._say(attempt, started, self._acknowledged)

    def _prepare(self, attempt: Attempt, executable: Executable) -> Spec:
        place = attempt.place or self._make_place(attempt, executable)
        variables = environment(
            attempt.dispatch,
            path=self.policy.path,
            home=place.cwd,
            checkpoint=place.checkpoint,
            result=place.result,
            secret=self.policy.secret,
        )
        return Spec(argv=(str(place.executable), *attempt.dispatch.args), env=variables, cwd=place.cwd)

    def _acknowledged(self, attempt: Attempt) -> None:
        self._happen(attempt, Fact.LATE if self._is_void(attempt) else Fact.ACKNOWLEDGED)

    def _spawn(self, attempt: Attempt) -> None:
        assert attempt.spec is not None
        dispatch = attempt.dispatch
        terms = Terms(
            limit=dispatch.limit.total_seconds(),
            grace=self.policy.grace.total_seconds(),
            lease=dispatch.lease.total_seconds(),
            margin=self.policy.margin.total_seconds(),
            start_before=self._void_at(attempt),
        )
        attempt.kills_before = self.out_of_memory.kills()
        stdin, attempt.given = stdin_of(dispatch, attempt.given), {}
        fd = self.link.spawn(attempt.number, attempt.spec, terms, self.renewed(), stdin)
        stream = LogStream(self.logs, dispatch.run_id, dispatch.attempt)
        attempt.output = Output(fd, stream, log_max_bytes=self.policy.log_max_bytes)

    def _report(self, attempt: Attempt) -> None:
        """The process is gone and its pipe is empty."""
        assert attempt.output is not None
        left = attempt.place if is_left(attempt.exited, attempt.place, attempt.dispatch.checkpoint) else None
        wrote = attempt.place if is_written(attempt.exited, attempt.place) else None
        if attempt.output.has_to_be_stored or left or wrote:
            self._background(self._report_late(attempt, attempt.output, left, wrote))
        else:
            self._end(attempt, ended(attempt, self.clock))

    async def _report_late(self, attempt: Attempt, output: Output, left: Place | None, wrote: Place | None) -> None:
        """What belongs into S3 goes there first, within its limits."""
        with contained(attempt, lose):
            if output.has_to_be_stored:
                await output.finish_log()
            if left:
                attempt.kept = await self.checkpoints.keep(attempt.dispatch, left, attempt.kept)
            if wrote:
                attempt.written = await self.results.collect(attempt.dispatch, wrote)
        self._end(attempt, ended(attempt, self.clock))

    def _fail(self, attempt: Attempt, reason: str) -> None:
        attempt.reason = reason
        self._happen(attempt, Fact.FAILED)

    def _end(self, attempt: Attempt, event: Ended | Rejected) -> None:
        self._say(attempt, event, self._forget)
        self._close(attempt)
        log_end(attempt, event)

    def _close(self, attempt: Attempt) -> None:
        self.slots.give(attempt.timeout_class, 1)
        if attempt.exited and attempt.started is not None:
            self.on_ran(attempt.timeout_class, attempt.exited.at - attempt.started)
        if attempt.output:
            attempt.output.close()
        if attempt.place and (attempt.exited is None or attempt.exited.alone):
            self.workspace.places.give_back(attempt.place)
        elif attempt.place:
            self.workspace.places.set_aside(attempt.place)

    def _forget(self, attempt: Attempt) -> None:
        del self.attempts[attempt.number]

    def _say(self, attempt: Attempt, event: Event, on_ack: Callable[[Attempt], None]) -> None:
        report = Report(owner=attempt.dispatch.owner, event=event, on_ack=partial(on_ack, attempt))
        self.events.say(attempt.partition, report)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.tasks.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    # The grace of a claim (protocol D4)

    def _void_at(self, attempt: Attempt) -> float:
        if attempt.announced:
            return float("inf")
        return attempt.committed + (attempt.dispatch.claim_grace - self.policy.margin).total_seconds()

    def _has_lapsed(self, attempt: Attempt) -> bool:
        lease = (attempt.dispatch.lease - self.policy.margin).total_seconds()
        return boot_seconds() >= self.renewed() + lease

    def _is_void(self, attempt: Attempt) -> bool:
        return boot_seconds() >= self._void_at(attempt)


def _is_meant(kill: Kill, dispatch: Dispatch) -> bool:
    return (kill.run_id, kill.token) == (dispatch.run_id, dispatch.token)


def _nothing(_: Attempt) -> None:
    """An expired dispatch holds nothing that its acknowledgement could free."""
