"""The life of an executor, from running through draining to gone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import structlog

from executors.assembly import Parts, Plan
from executors.claim import Chosen
from executors.orphans import kill_children
from executors.readiness import Standing, supervisor_problem, why_not_ready
from executors.silence import Silence
from executors.stop_deadline import StopDeadline
from executors.supervisor_link import Notice, Renewed
from executors.windows import no_windows
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.ready_file import write_ready_file

_LOG = structlog.get_logger()
_SILENT_INTERVALS = 4
"""Kill a supervisor, and its processes with it, if it has not answered for so many heartbeat intervals: it does not
enforce limits."""
_PATIENT_INTERVALS = 2
"""An executor whose supervisor has not answered for so many intervals is not ready. It stays live: two intervals later
it ends by itself, as above; a restart from outside would only kill the processes sooner."""
_EMPTY_ASSIGNMENT_SECONDS = 10.0
"""If there are more executors than partitions, one gets none, without a callback: count it as ready after this time."""
_WATCH_SECONDS = 0.5
_EVENT_LOOP_LIMIT = timedelta(seconds=30)
"""After so long without a heartbeat, every lease has expired and the supervisor has killed the processes: a restart
costs no run anything more. The executor itself never blocks its event loop for longer than 10 s, see below."""
_CLOCK_LIMIT = timedelta(seconds=60)
"""The clock's thread turns every 5 s, or after asking the brokers, which takes some seconds."""
_UNSTEADY_SECONDS = 0.5
"""The heartbeat interval while the cluster clock is not steady: the first heartbeat after that starts the claimers."""
_LEAVE_SECONDS = 3.0
_AFTER_ATTEMPTS_SECONDS, _AFTER_HEARTBEATS_SECONDS, _AFTER_SUPERVISOR_SECONDS = 5.0, 3.0, 1.0
"""What the waits for the last events, for the last heartbeat and for the supervisor leave of `LAST_SECONDS`."""
_CHECK_SECONDS = 0.05
_CLEAR_SECONDS, _LONGEST_CLEAR_SECONDS = 1.0, 10.0
"""After its supervisor died, an executor kills its new children until there are none for so long; at most 10 s."""
SUPERVISOR_DIED = 70
"""The exit code after the supervisor died: its processes died with it, and their attempts count as lost."""


class Service:
    """Make it in the main thread: it starts the process supervisor and handles signals."""

    def __init__(self, plan: Plan, tasks: asyncio.TaskGroup) -> None:
        self._plan, self._settings, self._tasks = plan, plan.settings, tasks
        self._state = ExecutorState.RUNNING
        self._held: dict[str, frozenset[int]] = {}
        self._assigned_at = float("inf")
        """When the claimers started, or the partitions changed for the last time (`time.monotonic`)."""
        self._over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._stop, self._stop_now = asyncio.Event(), asyncio.Event()
        self._is_steady, self._is_caught_up = asyncio.Event(), asyncio.Event()
        self._silence = Silence()
        self._deadline = StopDeadline(plan.settings.stop_limit.total_seconds())
        parts = Parts(plan, self, tasks)
        self._slots, self._windows, self._clock = parts.slots, parts.windows, parts.clock
        self._link, self._outbox, self._heartbeats = parts.link, parts.outbox, parts.heartbeats
        self._runner, self._control, self._claimers = parts.runner, parts.control, parts.claimers
        self._judges = parts.judges

    async def run(self) -> int:
        """Run until a signal or an error stops the executor. Returns the exit code."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._crashed)
        self._clock.start(self._plan.health.loop("clock", _CLOCK_LIMIT).turn)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal)
        chores = [
            self._tasks.create_task(each)
            for each in (
                self._run_until_stopped(),
                *(each.run(self._heartbeats.send) for each in self._judges),
                self._watch_health(),
                self._send_heartbeats(),
                self._upload_logs(),
            )
        ]
        _LOG.info("executor", id=self._plan.executor_id, slots=self._plan.per_class, supervisor=self._link.pid)
        try:
            return await self._over
        finally:
            for chore in chores:
                chore.cancel()
            for judge in self._judges:
                judge.close()
            self._control.stop()
            self._runner.close()
            self._outbox.close()
            self._clock.stop()
            if not self._link.close(self._deadline.left(_AFTER_SUPERVISOR_SECONDS)):
                _clear_orphans()

    # Life

    async def _run_until_stopped(self) -> None:
        await self._start_claimers()
        late = asyncio.get_running_loop().call_later(_EMPTY_ASSIGNMENT_SECONDS, self._ready)
        await self._stop.wait()
        late.cancel()
        await self._leave()
        await self._drain()
        self._over.set_result(0)

    async def _start_claimers(self) -> None:
        """Claim only after the clock is steady and all recent kill orders are read (protocol L6)."""
        await self._is_steady.wait()
        if not self._stop.is_set():
            self._control.start(self._clock.now())
            await self._is_caught_up.wait()
        if not self._stop.is_set():
            self._assigned_at = time.monotonic()
            for claimer in self._claimers:
                claimer.start()

    async def _leave(self) -> None:
        """Claim nothing more and leave the consumer groups, so that the other executors get the partitions at once."""
        _LOG.info("draining", attempts=len(self._runner.attempts))
        self._state = ExecutorState.DRAINING
        self._heartbeats.send()
        for claimer in self._claimers:
            claimer.stop()
        await self._until(lambda: not any(each.is_alive for each in self._claimers), _LEAVE_SECONDS)
        self._held.clear()

    async def _drain(self) -> None:
        runner, settings = self._runner, self._settings
        await asyncio.sleep(0)  # the last callbacks of the claimers run first
        patience = settings.drain_timeout.total_seconds() - self._deadline.elapsed
        await self._until(lambda: runner.is_idle or self._stop_now.is_set(), patience)
        if not runner.is_idle:
            runner.stop(0.0 if self._stop_now.is_set() else settings.term_grace.total_seconds())
            await self._until(lambda: runner.is_idle, self._deadline.left(_AFTER_ATTEMPTS_SECONDS))
        self._state = ExecutorState.GONE
        self._heartbeats.send()
        await self._until(lambda: self._heartbeats.is_idle, self._deadline.left(_AFTER_HEARTBEATS_SECONDS))
        _LOG.info("gone", left_behind=len(runner.attempts))

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not condition() and time.monotonic() < until:  # noqa: ASYNC110 - only at the exit, for several conditions
            await asyncio.sleep(_CHECK_SECONDS)

    async def _watch_health(self) -> None:
        loop = self._plan.health.loop("event loop", _EVENT_LOOP_LIMIT)
        while True:
            loop.turn()
            if not self._heartbeats.is_recent:
                for claimer in self._claimers:
                    claimer.excuse()
            reason = why_not_ready(self._standing())
            if reason is None:
                self._plan.health.ready()
            else:
                self._plan.health.not_ready(reason)
            await asyncio.sleep(_WATCH_SECONDS)

    def _standing(self) -> Standing:
        return Standing(
            heartbeat_age_seconds=self._heartbeats.age_seconds,
            freshness_seconds=self._heartbeats.horizon_seconds,
            is_steady=self._clock.is_steady,
            has_orders=self._is_caught_up.is_set(),
            has_partitions=self._holds_all or time.monotonic() - self._assigned_at > _EMPTY_ASSIGNMENT_SECONDS,
            ill=self.why_away(),
        )

    def why_away(self) -> str | None:
        patience = _PATIENT_INTERVALS * self._settings.heartbeat_interval.total_seconds()
        work_dir, s3 = self._judges
        own = supervisor_problem(self._silence.seconds, patience) or work_dir.reason
        return own or (s3.reason if s3.has_elsewhere else None)

    def _why_ill(self) -> str | None:
        return self.why_away() or self._judges[1].reason

    async def _send_heartbeats(self) -> None:
        steady = self._settings.heartbeat_interval.total_seconds()
        while True:
            self._heartbeats.send()
            if self._silence.seconds >= _SILENT_INTERVALS * steady:
                _LOG.error("supervisor does not answer", pid=self._link.pid)
                self._link.abandon()
            pause = steady if self._clock.is_steady else min(steady, _UNSTEADY_SECONDS)
            await asyncio.sleep(pause)
            self._silence.elapse(pause)

    async def _upload_logs(self) -> None:
        while True:
            await asyncio.sleep(self._settings.log_interval.total_seconds())
            self._runner.upload_logs()

    # Callbacks

    def compose(self) -> Heartbeat:
        accepts = self._state is ExecutorState.RUNNING and self.why_away() is None
        in_hand = self._runner.in_hand_by_partition
        return Heartbeat(
            executor_id=self._plan.executor_id,
            name=self._plan.name,
            host=socket.gethostname(),
            version=version("tidemill"),
            state=self._state,
            at=self._clock.now(),
            interval=self._settings.heartbeat_interval,
            margin=self._settings.lease_margin,
            cluster_version=self._plan.cluster.version,
            ill=self._why_ill(),
            capabilities=self._plan.capabilities,
            slots=self._slots.report(),
            windows=self._windows.advertise(self._held, in_hand) if accepts else no_windows(self._held),
            attempts=self._runner.in_hand(),
        )

    def on_renewed(self, sent: float) -> None:
        self._silence.ask(sent)
        self._runner.renew()
        self._link.renew(sent)
        if self._clock.is_steady:
            self._is_steady.set()

    def on_notice(self, notice: Notice) -> None:
        if isinstance(notice, Renewed):
            self._silence.answer(notice.sent)
        else:
            self._runner.on_notice(notice)

    def on_caught_up(self) -> None:
        self._is_caught_up.set()

    def on_assigned(self, timeout_class: str, held: frozenset[int]) -> None:
        if self._state is not ExecutorState.RUNNING:
            return
        _LOG.info("assigned", timeout_class=timeout_class, partitions=sorted(held))
        self._held[timeout_class], self._assigned_at = held, time.monotonic()
        self._heartbeats.send()
        if self._holds_all:
            self._ready()

    def on_claimed(self, timeout_class: str, claimed: list[Chosen]) -> None:
        self._runner.on_claimed(timeout_class, claimed)
        in_hand, held = self._runner.in_hand_by_partition(timeout_class), self._held.get(timeout_class, ())
        if self._windows.note(timeout_class, in_hand, held):
            self._heartbeats.send()

    @property
    def _holds_all(self) -> bool:
        return all(self._held.get(name) for name in self._plan.per_class)

    def _ready(self) -> None:
        write_ready_file(self._settings.ready_file, os.getpid())

    def _on_stop_signal(self) -> None:
        self._deadline.begin()
        self._plan.health.leave("it drains: it claims nothing more, and stops when its attempts have ended")
        if self._stop.is_set():
            self._stop_now.set()
        for event in (self._stop, self._is_steady, self._is_caught_up):
            event.set()

    def on_supervisor_death(self) -> None:
        """The processes died with the supervisor; their descendants become our children, so kill them."""
        if self._over.done():
            return
        _LOG.critical("supervisor died", attempts=len(self._runner.attempts))
        if self._plan.users:
            self._plan.users.end_processes()
        _clear_orphans()
        self._over.set_result(SUPERVISOR_DIED)

    def _crashed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.on_crash(context.get("exception") or RuntimeError(context["message"]))

    def on_crash(self, error: BaseException) -> None:
        """A bug, or a broker that refuses us: exit, because a restart leads to a known state."""
        if not self._over.done():
            self._over.set_exception(error)


def _clear_orphans() -> None:
    began = time.monotonic()
    while time.monotonic() - began < (_LONGEST_CLEAR_SECONDS if kill_children(os.getpid()) else _CLEAR_SECONDS):
        time.sleep(_CHECK_SECONDS)


async def serve(plan: Plan) -> int:
    async with asyncio.TaskGroup() as tasks:
        return await Service(plan, tasks).run()
