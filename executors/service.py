"""Puts the parts of an executor together, and moves it from running through draining to gone."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog

from executors.cache import Cache
from executors.checkpoints import Checkpoints
from executors.claim import Chosen
from executors.clock import cluster_clock
from executors.consumer import Claimer, ClaimerContext
from executors.control import Control
from executors.environment import read_secret
from executors.events import EventLog
from executors.executables import Executables
from executors.heartbeats import HeartbeatSender
from executors.logs import LogStore
from executors.orphans import kill_children
from executors.outbox import Outbox
from executors.results import Results
from executors.runner import Policy, Runner
from executors.s3 import ObjectStore
from executors.settings import ExecutorSettings, parse_slots
from executors.silence import Silence
from executors.skip_unreadable import SourcePartition, dead_letter
from executors.slots import Slots
from executors.supervisor_link import Notice, Renewed, SupervisorLink, find_shim
from executors.windows import MOST_AHEAD, Windows, no_windows
from executors.workspace import Workspace
from schemas.cluster import Cluster
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.ids import ExecutorId
from schemas.partition import partition_of
from schemas.ready_file import write_ready_file
from schemas.settings import Connections
from schemas.topics import EVENTS, EXECUTORS
from schemas.unreadable import Unreadable

_LOG = structlog.get_logger()
_SILENT_INTERVALS = 4
"""Kill a supervisor, and its processes with it, if it has not answered for so many heartbeat intervals: it does not
enforce limits."""
_EMPTY_ASSIGNMENT_SECONDS = 10.0
"""If there are more executors than partitions, one gets none, without a callback: count it as ready after this time."""
_UNSTEADY_SECONDS = 0.5
"""The heartbeat interval while the cluster clock is not steady: the first heartbeat after that starts the claimers."""
_LEAVE_SECONDS = 3.0
_FLUSH_SECONDS = 10.0
"""If Kafka is unreachable for longer at the exit, the last events are lost, and their attempts count as lost."""
_CHECK_SECONDS = 0.05
_FRESH_INTERVALS = 3
"""An executor claims nothing if the last acknowledged heartbeat is older than so many intervals."""
_CLEAR_SECONDS, _LONGEST_CLEAR_SECONDS = 1.0, 10.0
"""After its supervisor died, an executor kills its new children until there are none for so long; at most 10 s."""
SUPERVISOR_DIED = 70
"""The exit code after the supervisor died: its processes died with it, and their attempts count as lost."""


class Service:
    """Make it in the main thread: it starts the process supervisor and handles signals."""

    def __init__(
        self,
        connections: Connections,
        settings: ExecutorSettings,
        cluster: Cluster,
        name: str,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings, self._tasks = settings, tasks
        self._cluster_version, self._name = cluster.version, name
        self.executor_id = ExecutorId(f"{name}.{secrets.token_hex(4)}")
        self._state = ExecutorState.RUNNING
        self._per_class = parse_slots(settings.slots, connections.timeout_classes)
        self._held: dict[str, frozenset[int]] = {}
        self._slots, self._windows = Slots(self._per_class), Windows(self._per_class)
        self._clock = cluster_clock(connections)
        self._over: asyncio.Future[int] = self._loop.create_future()
        self._stop, self._stop_now = asyncio.Event(), asyncio.Event()
        self._is_steady, self._is_caught_up = asyncio.Event(), asyncio.Event()
        self._silence = Silence()
        self._link = SupervisorLink(
            on_notice=self._on_notice,
            on_death=self._on_supervisor_death,
            command=find_shim(from_memory=settings.start_from_memory),
        )
        self._outbox = Outbox(connections, self._clock, client_id=self.executor_id)
        self._heartbeats = self._make_heartbeats(connections)
        self._runner = self._make_runner(connections)
        self._control = self._make_control(connections)
        self._claimers = [self._make_claimer(connections, name) for name in self._per_class]

    async def run(self) -> int:
        """Run until a signal or an error stops the executor. Returns the exit code."""
        self._loop.set_exception_handler(self._crashed)
        self._clock.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_stop_signal)
        chores = [
            self._tasks.create_task(each)
            for each in (self._run_until_stopped(), self._send_heartbeats(), self._upload_logs())
        ]
        _LOG.info("executor", id=self.executor_id, slots=self._per_class, supervisor=self._link.pid)
        try:
            return await self._over
        finally:
            for chore in chores:
                chore.cancel()
            self._control.stop()
            self._runner.close()
            self._outbox.close()
            self._clock.stop()
            if not self._link.close():
                _clear_orphans()

    # Parts

    def _make_heartbeats(self, connections: Connections) -> HeartbeatSender:
        return HeartbeatSender(
            outbox=self._outbox,
            topic=connections.topic(EXECUTORS),
            partition=partition_of(self.executor_id, connections.partitions),
            compose=self._compose,
            on_renewed=self._renewed,
            horizon_seconds=_FRESH_INTERVALS * self._settings.heartbeat_interval.total_seconds(),
        )

    def _make_runner(self, connections: Connections) -> Runner:
        settings, store = self._settings, ObjectStore(connections)
        cache_dir = settings.cache_dir or settings.work_dir / "cache"
        workspace = Workspace(
            settings.work_dir, self.executor_id, cache_dir=cache_dir, spare_dirs=sum(self._per_class.values())
        )
        cache = Cache(cache_dir, max_bytes=settings.cache_max_bytes, scratch_prefix=self.executor_id)
        return Runner(
            policy=Policy(
                margin=settings.lease_margin,
                grace=settings.term_grace,
                path=settings.process_path,
                log_max_bytes=settings.log_max_bytes,
                secret=partial(read_secret, settings.secrets_dir),
            ),
            clock=self._clock,
            slots=self._slots,
            events=EventLog(
                self._outbox, self._loop.call_later, topic=connections.topic(EVENTS), executor_id=self.executor_id
            ),
            executables=Executables(store=store, cache=cache, fetch_timeout=settings.fetch_timeout),
            logs=LogStore(store, connections.s3_bucket),
            checkpoints=Checkpoints(
                store,
                connections.s3_bucket,
                keep_timeout=settings.checkpoint_timeout,
                fetch_timeout=settings.fetch_timeout,
            ),
            results=Results(
                store,
                connections.s3_bucket,
                keep_timeout=settings.checkpoint_timeout,
                fetch_timeout=settings.fetch_timeout,
            ),
            workspace=workspace,
            link=self._link,
            tasks=self._tasks,
            renewed=lambda: self._heartbeats.renewed,
            on_ran=self._windows.note_end,
        )

    def _make_control(self, connections: Connections) -> Control:
        return Control(
            connections,
            client_id=self.executor_id,
            on_orders=self._from_thread(self._runner.on_orders),
            on_caught_up=self._from_thread(self._is_caught_up.set),
            on_unreadable=self._from_thread(partial(self._report_unreadable, connections)),
            on_crash=self._from_thread(self._crash),
        )

    def _make_claimer(self, connections: Connections, timeout_class: str) -> Claimer:
        context = ClaimerContext(
            timeout_class=timeout_class,
            slots=self._slots,
            clock=self._clock,
            may_claim=lambda: self._heartbeats.is_recent and self._clock.is_steady,
            on_polled=self._from_thread(self._runner.executables.expect),
            on_claimed=self._from_thread(self._on_claimed),
            on_assigned=self._from_thread(self._on_assigned),
            on_unreadable=self._from_thread(partial(self._report_unreadable, connections)),
            on_crash=self._from_thread(self._crash),
            capacity=MOST_AHEAD * self._per_class[timeout_class],
        )
        return Claimer(connections, context, client_id=self.executor_id)

    def _report_unreadable(self, connections: Connections, source: SourcePartition, found: Unreadable) -> None:
        self._outbox.send(dead_letter(connections, source, found))

    def _from_thread(self, function: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any) -> None:
            self._loop.call_soon_threadsafe(function, *args)

        return call

    # Life

    async def _run_until_stopped(self) -> None:
        await self._start_claimers()
        late = self._loop.call_later(_EMPTY_ASSIGNMENT_SECONDS, self._ready)
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
        runner, grace = self._runner, self._settings.term_grace.total_seconds()
        await asyncio.sleep(0)  # the last callbacks of the claimers run first
        await self._until(
            lambda: runner.is_idle or self._stop_now.is_set(), self._settings.drain_timeout.total_seconds()
        )
        if not runner.is_idle:
            runner.stop(0.0 if self._stop_now.is_set() else grace)
            checkpoints = self._settings.checkpoint_timeout.total_seconds()
            await self._until(lambda: runner.is_idle, grace + checkpoints + _FLUSH_SECONDS)
        self._state = ExecutorState.GONE
        self._heartbeats.send()
        await self._until(lambda: self._heartbeats.is_idle, _LEAVE_SECONDS)
        _LOG.info("gone", left_behind=len(runner.attempts))

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not condition() and time.monotonic() < until:  # noqa: ASYNC110 - only at the exit, for several conditions
            await asyncio.sleep(_CHECK_SECONDS)

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

    def _compose(self) -> Heartbeat:
        is_running, in_hand = self._state is ExecutorState.RUNNING, self._runner.in_hand_by_partition
        return Heartbeat(
            executor_id=self.executor_id,
            name=self._name,
            host=socket.gethostname(),
            version=version("tidemill"),
            state=self._state,
            at=self._clock.now(),
            interval=self._settings.heartbeat_interval,
            margin=self._settings.lease_margin,
            cluster_version=self._cluster_version,
            slots=self._slots.report(),
            windows=self._windows.advertise(self._held, in_hand) if is_running else no_windows(self._held),
            attempts=self._runner.in_hand(),
        )

    def _renewed(self, sent: float) -> None:
        self._silence.ask(sent)
        self._runner.renew()
        self._link.renew(sent)
        if self._clock.is_steady:
            self._is_steady.set()

    def _on_notice(self, notice: Notice) -> None:
        if isinstance(notice, Renewed):
            self._silence.answer(notice.sent)
        else:
            self._runner.on_notice(notice)

    def _on_assigned(self, timeout_class: str, held: frozenset[int]) -> None:
        if self._state is not ExecutorState.RUNNING:
            return
        _LOG.info("assigned", timeout_class=timeout_class, partitions=sorted(held))
        self._held[timeout_class] = held
        self._heartbeats.send()
        if all(self._held.get(name) for name in self._per_class):
            self._ready()

    def _on_claimed(self, timeout_class: str, claimed: list[Chosen]) -> None:
        self._runner.on_claimed(timeout_class, claimed)
        in_hand, held = self._runner.in_hand_by_partition(timeout_class), self._held.get(timeout_class, ())
        if self._windows.note(timeout_class, in_hand, held):
            self._heartbeats.send()

    def _ready(self) -> None:
        write_ready_file(self._settings.ready_file, os.getpid())

    def _on_stop_signal(self) -> None:
        if self._stop.is_set():
            self._stop_now.set()
        for event in (self._stop, self._is_steady, self._is_caught_up):
            event.set()

    def _on_supervisor_death(self) -> None:
        """The processes died with the supervisor; their descendants become our children, so kill them."""
        if self._over.done():
            return
        _LOG.critical("supervisor died", attempts=len(self._runner.attempts))
        _clear_orphans()
        self._over.set_result(SUPERVISOR_DIED)

    def _crashed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._crash(context.get("exception") or RuntimeError(context["message"]))

    def _crash(self, error: BaseException) -> None:
        """A bug, or a broker that refuses us: exit, because a restart leads to a known state."""
        if not self._over.done():
            self._over.set_exception(error)


def _clear_orphans() -> None:
    began = time.monotonic()
    while time.monotonic() - began < (_LONGEST_CLEAR_SECONDS if kill_children(os.getpid()) else _CLEAR_SECONDS):
        time.sleep(_CHECK_SECONDS)


async def serve(connections: Connections, settings: ExecutorSettings, cluster: Cluster, name: str) -> int:
    async with asyncio.TaskGroup() as tasks:
        return await Service(connections, settings, cluster, name, tasks).run()
