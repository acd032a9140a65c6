"""Carries out the acts of the state machine in `executors.attempt`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, assert_never

import structlog

from executors.attempt import Act, Fact, Phase
from executors.attempt_dirs import AttemptDir
from executors.checkpoints import Checkpoints
from executors.claim import Chosen, ClaimDecision
from executors.clock import boot_seconds
from executors.control import Order
from executors.environment import environment
from executors.events import EventLog, Report
from executors.executables import Executable, Executables
from executors.in_hand import (
    Attempt,
    Describe,
    begun,
    confined,
    contain_errors,
    described,
    ended,
    exec_problem,
    has_lapsed,
    is_void,
    matches,
    move,
    note_end,
    note_unstored,
    nothing,
    rejected,
    step_problem,
    undescribed,
    untried,
    void_at,
)
from executors.keeping import has_to_keep, keep
from executors.kills import Kills
from executors.limiter import Limiter
from executors.logs import LogStore, LogStream, Output
from executors.metrics import Metrics, NoProcess
from executors.policy import Policy
from executors.results import Results, needs_stdin_file, stdin_of
from executors.sandbox.confine import Confiner
from executors.secrets.store import Secrets
from executors.slots import Slots
from executors.supervisor_link import Exited, Notice, Refused, Renewed, Spawned, Spec, SupervisorLink
from executors.workspace import Workspace
from schemas.control import LOOK_BACK
from schemas.event import Claimed, EndCause, Event, Started
from schemas.heartbeat import AttemptInHand
from schemas.kept_clock import KeptClock

_LOG = structlog.get_logger()
_LONG_RUN_SECONDS = 5.0
"""After so long, also a short output goes to S3 while the process runs, so that a user can follow it."""

_ON_LEASE = (Phase.FETCHING, Phase.STARTED)
"""Phases in which the lease may apply, and the supervisor does not know the attempt yet."""


@dataclass(slots=True, kw_only=True)
class Runner:
    """Used only from the event loop."""

    policy: Policy
    clock: KeptClock
    slots: Slots
    events: EventLog
    executables: Executables
    logs: LogStore
    checkpoints: Checkpoints
    results: Results
    secrets: Secrets
    workspace: Workspace
    confiner: Confiner
    limiter: Limiter
    link: SupervisorLink
    metrics: Metrics
    tasks: asyncio.TaskGroup
    renewed: Callable[[], float]
    """Returns when the last acknowledged heartbeat was sent (CLOCK_BOOTTIME)."""
    on_ran: Callable[[str, float], None]
    """Called with the timeout class and how many seconds a process ran."""
    attempts: dict[int, Attempt] = field(default_factory=dict)
    """By number, until Kafka acknowledges the end."""
    on_fail: Callable[[], None]
    """Called when an attempt could not start; the reason may lie in the executor."""
    kills: Kills = field(default_factory=Kills)
    _work: set[asyncio.Task[None]] = field(default_factory=set)
    _last_number: int = 0

    # Inputs

    def on_claimed(self, timeout_class: str, claimed: Iterable[Chosen]) -> None:
        for chosen in claimed:
            if chosen.polled.dispatch is None:
                continue
            self._last_number += 1
            attempt = begun(self._last_number, timeout_class, chosen.polled, chosen.polled.dispatch)
            if chosen.decision is ClaimDecision.RUN:
                self.attempts[attempt.number] = attempt
                self._start_claimed(attempt)
            else:
                self._send_event(attempt, untried(attempt, chosen, self.clock, self.metrics), nothing)

    def on_notice(self, notice: Notice) -> None:
        if isinstance(notice, Renewed):
            return
        attempt = self.attempts.get(notice.number)
        if attempt is None:  # it was rejected when its process could not be read
            return
        match notice:
            case Spawned():
                attempt.started = notice.at
                self._apply(attempt, Fact.SPAWNED)
            case Refused(reason=reason):
                self._fail(attempt, f"the process could not be started: {reason}")
            case Exited():
                attempt.exited = notice
                self.limiter.note_exit(attempt)
                if unconfined := step_problem(attempt):
                    self._fail(attempt, unconfined)
                else:
                    self._apply(attempt, Fact.EXITED)
            case _:
                assert_never(notice)

    def on_orders(self, orders: Iterable[Order]) -> None:
        """Kill the attempts, or remember the kills of attempts that are not claimed yet.

        Owners repeat an order while a heartbeat lists its attempt.
        """
        now = self.clock.now()
        for order in orders:
            kill = order.kill
            self.kills.remember(kill, order.appended_at + min(kill.valid_for, LOOK_BACK), now)
            for attempt in [each for each in self.attempts.values() if matches(kill, each.dispatch)]:
                self._request_stop(attempt, EndCause.CANCELLED, kill.grace.total_seconds())

    def stop(self, grace_seconds: float) -> None:
        """Stop every attempt that has not ended."""
        for attempt in list(self.attempts.values()):
            self._request_stop(attempt, EndCause.STOPPED, grace_seconds)

    def renew(self) -> None:
        """Call this when a heartbeat is acknowledged, before it renews leases: an expired lease stays expired.

        This ends attempts that have no process yet; the supervisor ends the processes.
        """
        for attempt in list(self.attempts.values()):
            if (
                attempt.phase in _ON_LEASE
                and attempt.announced
                and has_lapsed(attempt, self.policy.margin, self.renewed())
            ):
                self._request_stop(attempt, EndCause.LEASE, grace_seconds=0.0)

    @property
    def is_idle(self) -> bool:
        """There are no attempts, and all events are acknowledged, also those of expired dispatches."""
        return not self.attempts and not self.events.unacknowledged

    def in_hand(self) -> tuple[AttemptInHand, ...]:
        return tuple(
            AttemptInHand(run_id=each.dispatch.run_id, token=each.dispatch.token, partition=each.partition)
            for each in self.attempts.values()
        )

    def in_hand_by_partition(self, timeout_class: str) -> Counter[int]:
        return Counter(each.partition for each in self.attempts.values() if each.timeout_class == timeout_class)

    def upload_logs(self) -> None:
        """Called regularly: upload the new output of processes that write much, or run for long."""
        for attempt in self.attempts.values():
            if attempt.phase is Phase.RUNNING and attempt.output and attempt.started is not None:
                is_long = boot_seconds() - attempt.started > _LONG_RUN_SECONDS
                if attempt.output.streams or (is_long and attempt.output.total_bytes):
                    self._run_in_background(attempt.output.upload())

    def close(self) -> None:
        """The executor ends: cancel all work that waits for S3."""
        for task in self._work:
            task.cancel()
        stores = self.executables.close, self.logs.close, self.checkpoints.close, self.results.close, self.secrets.close
        for close in (*stores, self.confiner.close, self.limiter.close, self.workspace.close):
            close()

    # Acts

    def _apply(self, attempt: Attempt, fact: Fact) -> None:
        act = move(attempt, fact, self.metrics)
        if act is not None:
            with contain_errors(attempt, self._fail):
                self._carry_out(attempt, act)

    def _carry_out(self, attempt: Attempt, act: Act) -> None:  # noqa: C901 - one line per act, best read whole
        match act:
            case Act.ANNOUNCE:
                self._send_event(attempt, Claimed(**attempt.identity, at=self.clock.now()), self._acknowledged)
            case Act.FETCH:
                attempt.announced = True
                self._run_in_background(self._fetch(attempt))
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
                self._end(attempt, ended)
            case Act.REJECT:
                self._end(attempt, rejected)
            case Act.FORGET:
                self.metrics.ended(NoProcess.VOID)
                self._close(attempt)
                self._forget(attempt)
            case _:
                assert_never(act)

    def _start_claimed(self, attempt: Attempt) -> None:
        if self.kills.has(attempt.dispatch.run_id, attempt.dispatch.token):
            self._request_stop(attempt, EndCause.CANCELLED, grace_seconds=0.0)
        else:
            self._look_up(attempt)

    def _request_stop(self, attempt: Attempt, cause: EndCause, grace_seconds: float) -> None:
        attempt.cause, attempt.grace_seconds = cause, grace_seconds
        self._apply(attempt, Fact.STOP_REQUESTED)

    def _look_up(self, attempt: Attempt) -> None:
        if is_void(attempt, self.policy.margin):  # the executor was frozen after the commit
            self._apply(attempt, Fact.LATE)
            return
        dispatch, has_to_fetch = attempt.dispatch, True
        with contain_errors(attempt, self._fail):
            attempt.secrets = self.secrets.at_hand(dispatch)
            has_to_fetch = bool(dispatch.checkpoint) or needs_stdin_file(dispatch) or attempt.secrets is None
            attempt.executable = self.executables.cached(dispatch.executable, dispatch.sha256, attempt.read)
            if attempt.executable and has_to_fetch:
                self._make_directory(attempt, attempt.executable)
        if attempt.executable and not has_to_fetch:
            self._apply(attempt, Fact.CACHED)
        elif dispatch.sha256 or has_to_fetch:
            self._apply(attempt, Fact.ABSENT)
        elif attempt.phase is Phase.CLAIMED:
            self._run_in_background(self._ask_s3(attempt))

    async def _ask_s3(self, attempt: Attempt) -> None:
        with contain_errors(attempt, self._fail):
            attempt.executable = await self.executables.look_up(attempt.dispatch.executable, attempt.read)
        if is_void(attempt, self.policy.margin):
            self._apply(attempt, Fact.LATE)
        else:
            self._apply(attempt, Fact.CACHED if attempt.executable else Fact.ABSENT)

    async def _fetch(self, attempt: Attempt) -> None:
        with contain_errors(attempt, self._fail):
            dispatch = attempt.dispatch
            if not attempt.directory:
                attempt.executable = await self.executables.fetch(dispatch.executable, dispatch.sha256)
                if attempt.phase is not Phase.FETCHING:  # the attempt ended meanwhile
                    return
                self._make_directory(attempt, attempt.executable)
            if dispatch.checkpoint:
                await self._restore(attempt, dispatch.checkpoint)
            if attempt.secrets is None:
                attempt.secrets = await self.secrets.resolve(dispatch)
            if needs_stdin_file(dispatch):
                attempt.stdin = await self.results.stdin_file(dispatch)
        if attempt.phase is not Phase.FETCHING:  # the attempt ended meanwhile
            attempt.close_stdin()
        self._apply(attempt, Fact.CACHED)

    def _make_directory(self, attempt: Attempt, executable: Executable) -> AttemptDir:
        """Call this as soon as the executable is cached: the link in the directory prevents its eviction."""
        attempt.directory = self.workspace.attempt_dirs.take(executable.path, executable.name)
        return attempt.directory

    async def _restore(self, attempt: Attempt, checkpoint: str) -> None:
        assert attempt.directory is not None
        attempt.fills_directory = True
        attempt.checkpoint = await self.checkpoints.restore(checkpoint, attempt.directory)
        attempt.fills_directory = False

    def _start(self, attempt: Attempt) -> None:
        """Prepare everything that can fail, then send STARTED."""
        assert attempt.executable is not None
        with contain_errors(attempt, self._fail):
            attempt.spec = self._prepare(attempt, attempt.executable)
        if attempt.spec:
            started = Started(**attempt.identity, at=self.clock.now(), sha256=attempt.executable.sha256)
            self._send_event(attempt, started, self._acknowledged)

    def _prepare(self, attempt: Attempt, executable: Executable) -> Spec:
        directory = attempt.directory or self._make_directory(attempt, executable)
        assert attempt.secrets is not None
        variables = environment(attempt.dispatch, directory, path=self.policy.path, secrets=attempt.secrets.values)
        argv = (str(directory.executable), *attempt.dispatch.args)
        return Spec(argv=argv, env=variables, cwd=directory.cwd, user=directory.user)

    def _acknowledged(self, attempt: Attempt) -> None:
        self._apply(attempt, Fact.LATE if is_void(attempt, self.policy.margin) else Fact.ACKNOWLEDGED)

    def _spawn(self, attempt: Attempt) -> None:
        dispatch = attempt.dispatch
        terms = self.policy.terms(dispatch, void_at(attempt, self.policy.margin))
        stdin = stdin_of(dispatch, {}) if attempt.stdin is None else attempt.stdin
        with contain_errors(attempt, self._fail_to_start):
            attempt.spec = confined(attempt, self.confiner)
            with self.limiter.limiting(attempt):
                fd = self.link.spawn(attempt.number, attempt.spec, terms, self.renewed(), stdin)
            self._follow(attempt, fd)
            attempt.close_stdin()
            if attempt.limits.disk is not None:
                full = partial(self.link.kill, attempt.number, EndCause.EXITED, 0.0)
                self._run_in_background(self.limiter.watch(attempt, full))

    def _follow(self, attempt: Attempt, fd: int) -> None:
        dispatch = attempt.dispatch
        stream, limit = LogStream(self.logs, dispatch.run_id, dispatch.attempt), self.policy.log_max_bytes
        attempt.output = Output(fd, stream, self.metrics, log_max_bytes=limit, masker=attempt.masker)

    def _report(self, attempt: Attempt) -> None:
        """The process has ended and its pipe is empty."""
        assert attempt.output is not None
        with contain_errors(attempt, self._end_badly):
            if text := exec_problem(attempt):
                attempt.output.add(text.encode())
            if has_to_keep(attempt) or self.limiter.has_to_measure(attempt):
                self._run_in_background(self._keep_and_report(attempt))
            else:
                self._end(attempt, ended)

    async def _keep_and_report(self, attempt: Attempt) -> None:
        with contain_errors(attempt, note_unstored):
            await self.limiter.measure(attempt)
            await keep(attempt, self.checkpoints, self.results)
        self._end(attempt, ended)

    def _fail_to_start(self, attempt: Attempt, reason: str) -> None:
        self.link.kill(attempt.number, attempt.cause, 0.0)
        self._fail(attempt, f"the process could not be started: {reason}")

    def _fail(self, attempt: Attempt, reason: str) -> None:
        attempt.reason = reason
        self.on_fail()
        self._apply(attempt, Fact.FAILED)

    def _end_badly(self, attempt: Attempt, reason: str) -> None:
        self._end(attempt, partial(undescribed, reason=reason))

    def _end(self, attempt: Attempt, describe: Describe) -> None:
        """Raises nothing: whatever goes wrong, the slot is free afterwards."""
        with contain_errors(attempt, self._forget):
            event = described(attempt, self.clock, describe)
            self._send_event(attempt, event, self._forget)
            note_end(attempt, event, self.metrics)
        self._close(attempt)

    def _close(self, attempt: Attempt) -> None:
        self.slots.release(attempt.timeout_class, 1)
        with contain_errors(attempt, nothing):
            if attempt.exited and attempt.started is not None:
                self.on_ran(attempt.timeout_class, attempt.exited.at - attempt.started)
            if attempt.output:
                attempt.output.close()
            attempt.close_stdin()
            self.limiter.release(attempt)
            if attempt.directory and (attempt.fills_directory or (attempt.exited and attempt.exited.left)):
                self.workspace.attempt_dirs.discard(attempt.directory)
            elif attempt.directory:
                self.workspace.attempt_dirs.release(attempt.directory)

    def _forget(self, attempt: Attempt, _reason: str = "") -> None:
        """Its owner knows the end, or will find that the attempt is in nobody's hand, and count it as lost."""
        self.attempts.pop(attempt.number, None)

    def _send_event(self, attempt: Attempt, event: Event, on_ack: Callable[[Attempt], None]) -> None:
        report = Report(owner=attempt.dispatch.owner, event=event, on_ack=partial(on_ack, attempt))
        self.events.add(attempt.partition, report)

    def _run_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.tasks.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
