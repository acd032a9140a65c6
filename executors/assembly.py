"""Builds the parts of an executor and connects them; `executors.service` runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from executors.cache import Cache
from executors.checkpoints import Checkpoints
from executors.claim import Chosen
from executors.clock import cluster_clock
from executors.consumer import Claimer, ClaimerContext
from executors.control import Control
from executors.elsewhere import Elsewhere
from executors.events import EventLog
from executors.executables import Executables
from executors.heartbeats import HeartbeatSender
from executors.judge import Judge
from executors.limiter import Limiter
from executors.logs import LogStore
from executors.metrics import Metrics
from executors.outbox import Outbox
from executors.policy import Policy
from executors.results import Results
from executors.runner import Runner
from executors.s3 import ObjectStore
from executors.s3_reach import S3Reach
from executors.sandbox.cgroups import Cgroups
from executors.sandbox.confine import make_confiner
from executors.sandbox.launch import Launcher
from executors.sandbox.start import default_limits
from executors.sandbox.strict import Strict, open_strict
from executors.sandbox.users import Users
from executors.secrets.providers import secrets_of
from executors.settings import ExecutorSettings
from executors.skip_unreadable import SourcePartition, dead_letter
from executors.slots import Slots
from executors.supervisor_link import Notice, SupervisorLink
from executors.windows import MOST_AHEAD, Windows
from executors.workplace import Workplace
from executors.workspace import Workspace
from observe.health import Health
from observe.registry import Registry
from schemas.cluster import Cluster
from schemas.confinement import Capabilities, Sandbox
from schemas.heartbeat import Heartbeat
from schemas.ids import ExecutorId
from schemas.partition import partition_of
from schemas.settings import Connections
from schemas.topics import EVENTS, EXECUTORS
from schemas.unreadable import Unreadable

_FRESH_INTERVALS = 3
"""An executor claims nothing if the last acknowledged heartbeat is older than so many intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an executor is built from."""

    connections: Connections
    settings: ExecutorSettings
    cluster: Cluster
    name: str
    executor_id: ExecutorId
    per_class: Mapping[str, int]
    """Slots by timeout class."""
    registry: Registry
    health: Health
    launcher: Launcher
    capabilities: Capabilities
    cgroups: Cgroups
    users: Users | None
    """For the attempts; None: they share the executor's."""


class Life(Protocol):
    """The parts call it when something happens, always in the event loop."""

    def compose(self) -> Heartbeat: ...

    def why_away(self) -> str | None:
        """Why it claims nothing and is in no group. Any thread may call it."""

    def on_renewed(self, sent: float) -> None: ...

    def on_notice(self, notice: Notice) -> None: ...

    def on_supervisor_death(self) -> None: ...

    def on_caught_up(self) -> None:
        """All kill orders from before the start are read."""

    def on_assigned(self, timeout_class: str, held: frozenset[int]) -> None: ...

    def on_claimed(self, timeout_class: str, claimed: list[Chosen]) -> None: ...

    def on_crash(self, error: BaseException) -> None: ...


class Parts:
    """Make it in the event loop of the main thread: it starts the process supervisor and the thread of the outbox."""

    def __init__(self, plan: Plan, life: Life, tasks: asyncio.TaskGroup) -> None:
        self._plan, self._life, self._tasks = plan, life, tasks
        self._loop = asyncio.get_running_loop()
        self.slots, self.windows = Slots(plan.per_class), Windows(plan.per_class)
        self.clock = cluster_clock(plan.connections)
        self._metrics = Metrics(plan.registry, plan.per_class)
        self.link = SupervisorLink(
            on_notice=life.on_notice,
            on_death=life.on_supervisor_death,
            launcher=plan.launcher,
        )
        self.outbox = Outbox(plan.connections, self.clock, client_id=plan.executor_id, health=plan.health)
        self.heartbeats = self._make_heartbeats()
        self._metrics.watch(self.slots, lambda: self.heartbeats.age_seconds)
        self.runner = self._make_runner()
        self.control = self._make_control()
        self.claimers = [self._make_claimer(name) for name in plan.per_class]

    def _make_heartbeats(self) -> HeartbeatSender:
        connections = self._plan.connections
        return HeartbeatSender(
            outbox=self.outbox,
            topic=connections.topic(EXECUTORS),
            partition=partition_of(self._plan.executor_id, connections.partitions),
            compose=self._life.compose,
            on_renewed=self._life.on_renewed,
            horizon_seconds=_FRESH_INTERVALS * self._plan.settings.heartbeat_interval.total_seconds(),
        )

    def _strict(self, workspace: Workspace) -> Strict | None:
        is_given = Sandbox.STRICT in self._plan.capabilities.sandboxes
        return open_strict(workspace.directory, self._plan.launcher) if is_given else None

    def _make_runner(self) -> Runner:
        settings, connections = self._plan.settings, self._plan.connections
        store, executor_id = ObjectStore(connections), self._plan.executor_id
        bucket, limits = connections.s3_bucket, _limits_of(settings)
        cache_dir = settings.cache_place
        cache = Cache(cache_dir, max_bytes=settings.cache_max_bytes, scratch_prefix=executor_id)
        spare_dirs = sum(self._plan.per_class.values())
        workspace = Workspace(
            settings.work_dir, executor_id, cache_dir=cache_dir, spare_dirs=spare_dirs, users=self._plan.users
        )
        self._workplace = Workplace(workspace, cache_dir)
        self.judges = (
            Judge("the work directory", self._workplace.look),
            S3Reach(partial(store.probe, bucket), self._elsewhere().is_well),
        )
        return Runner(
            policy=_policy(settings),
            clock=self.clock,
            slots=self.slots,
            events=EventLog(
                self.outbox, self._loop.call_later, topic=connections.topic(EVENTS), executor_id=executor_id
            ),
            executables=Executables(
                store=store, cache=cache, metrics=self._metrics, fetch_timeout=settings.fetch_timeout
            ),
            logs=LogStore(store, bucket),
            checkpoints=Checkpoints(store, bucket, **limits),
            results=Results(store, bucket, **limits),
            secrets=secrets_of(settings),
            workspace=workspace,
            confiner=make_confiner(self._plan.capabilities, self._strict(workspace), spare_dirs=spare_dirs),
            limiter=Limiter(cgroups=self._plan.cgroups, default=default_limits(settings), sandbox=settings.sandbox),
            link=self.link,
            metrics=self._metrics,
            tasks=self._tasks,
            renewed=lambda: self.heartbeats.renewed,
            on_ran=self.windows.note_end,
            on_fail=self._doubt,
        )

    def _elsewhere(self) -> Elsewhere:
        return Elsewhere(self._plan.connections, self._plan.executor_id, self._plan.per_class, self.clock.now)

    def _make_control(self) -> Control:
        return Control(
            self._plan.connections,
            client_id=self._plan.executor_id,
            health=self._plan.health,
            on_orders=self._from_thread(self.runner.on_orders),
            on_caught_up=self._from_thread(self._life.on_caught_up),
            on_unreadable=self._from_thread(self._report_unreadable),
            on_crash=self._from_thread(self._life.on_crash),
        )

    def _make_claimer(self, timeout_class: str) -> Claimer:
        context = ClaimerContext(
            timeout_class=timeout_class,
            given=self._plan.capabilities,
            slots=self.slots,
            clock=self.clock,
            metrics=self._metrics,
            health=self._plan.health,
            may_claim=lambda: self.heartbeats.is_recent and self.clock.is_steady and self._life.why_away() is None,
            is_ill=lambda: self._life.why_away() is not None,
            on_polled=self._from_thread(self.runner.executables.expect),
            on_claimed=self._from_thread(self._life.on_claimed),
            on_assigned=self._from_thread(self._life.on_assigned),
            on_unreadable=self._from_thread(self._report_unreadable),
            on_crash=self._from_thread(self._life.on_crash),
            capacity=MOST_AHEAD * self._plan.per_class[timeout_class],
        )
        return Claimer(self._plan.connections, context, client_id=self._plan.executor_id)

    def _doubt(self) -> None:
        self._workplace.doubt_spawn()
        for judge in self.judges:
            judge.doubt()

    def _report_unreadable(self, source: SourcePartition, found: Unreadable) -> None:
        self.outbox.send(dead_letter(self._plan.connections, source, found))

    def _from_thread(self, function: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any) -> None:
            self._loop.call_soon_threadsafe(function, *args)

        return call


def _policy(settings: ExecutorSettings) -> Policy:
    return Policy(
        margin=settings.lease_margin,
        grace=settings.term_grace,
        path=settings.process_path,
        log_max_bytes=settings.log_max_bytes,
    )


def _limits_of(settings: ExecutorSettings) -> dict[str, timedelta]:
    return {"keep_timeout": settings.checkpoint_timeout, "fetch_timeout": settings.fetch_timeout}
