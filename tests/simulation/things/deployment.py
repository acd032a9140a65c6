"""A whole deployment in memory: brokers, groups, workers, executors, connector, sink; restarts what dies."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from schemas.classes import parse_classes
from schemas.confinement import Capabilities, Limit
from schemas.topics import CDC, CONTROL, EVENTS, EXECUTORS, REQUESTS, runs_topic
from streams.core.room import Bounds
from streams.core.settings import CoreSettings
from streams.owner.limits import Limits
from tests.simulation.things.brokers import Brokers, Log
from tests.simulation.things.connector import Connector
from tests.simulation.things.database import Database
from tests.simulation.things.executor import Executor
from tests.simulation.things.executor_group import ExecutorGroup
from tests.simulation.things.gauge import Gauge
from tests.simulation.things.owner_log import OwnerLog
from tests.simulation.things.sink import Sinks
from tests.simulation.things.stream_group import StreamGroup
from tests.simulation.things.witness import Witness
from tests.simulation.things.worker import Worker
from tests.simulation.things.world import World

LIMITS = Limits(
    longest_wait=timedelta(seconds=15),
    bare_commit_interval=timedelta(seconds=30),
    stall=timedelta(seconds=20),
    judge_interval=timedelta(seconds=2),
    undelivered_interval=timedelta(milliseconds=500),
)
"""Idle owners turn less often than in production, which makes a simulated hour cheap; the rules do not change."""
CLASSES, ALL_CLASSES = "10s,2m", "10s,30s,2m"
ABLE = Capabilities(limits=(Limit.NETWORK,))
SMALL = Bounds(effects=40, nodes=12, bytes=16_000, work_us=3_000, slice_us=500)
HEARTBEAT_SECONDS = 14.0
MARGIN = timedelta(seconds=8)
RESTART_SECONDS = 3.0


class Size(msgspec.Struct, frozen=True, kw_only=True):
    partitions: int = 1
    workers: int = 1
    executors: int = 1
    brokers: int = 1
    slots: int = 2
    has_small_bounds: bool = False
    lease: float = 45.0
    """Seconds; `cluster set` may change it."""
    capable: int = 0
    """So many executors can take the network away from a job."""


class Deployment:
    def __init__(self, world: World, seed: int, size: Size) -> None:
        self.world, self.seed, self.size = world, seed, size
        self.partitions, self.heartbeat_seconds, self.margin = size.partitions, HEARTBEAT_SECONDS, MARGIN
        self.slots = dict.fromkeys(ALL_CLASSES.split(","), size.slots)
        """Of each class that there ever is."""
        self.core = CoreSettings(
            classes=parse_classes(CLASSES),
            claim_grace=timedelta(seconds=20),
            lease=timedelta(seconds=size.lease),
            request_ttl=timedelta(minutes=20),
            bounds=SMALL if size.has_small_bounds else Bounds(),
        )
        self.limits = msgspec.structs.replace(LIMITS, pull_at_once=3) if size.has_small_bounds else LIMITS
        self.witness, self.gauge = Witness(world), Gauge()
        self.brokers = Brokers(world, size.brokers)
        self.stream_group = StreamGroup(world, size.partitions)
        self.executor_groups = {name: ExecutorGroup(world, name, size.partitions) for name in self.slots}
        self.database = Database(world)
        self.connector = Connector(world, self.database, self.brokers, size.partitions)
        self.database.on_commit.append(self.connector.notice)
        self.sinks = Sinks(self)
        self.workers: dict[str, Worker] = {}
        self.executors: dict[str, Executor] = {}
        self.is_quiet = False
        """No more acts; what is scheduled is paused."""
        self.had_wrong_clock = False
        self.healed_at = 0.0
        self.recreated_at: list[datetime] = []
        """When the topic `requests` was made anew: what was in it and not applied is gone."""
        self.frozen_at_calls: dict[str, float] = {}
        """Workers that will freeze at a call, and how long after that they notice that they are no members."""
        self._lives = 0
        self.restart_seconds: dict[str, float] = {}
        """By name: how long the next restart takes."""
        self.given = {f"executor-{number}": ABLE for number in range(size.capable)}
        """By name of an executor: what it can give after its next start."""
        self.releases: dict[str, str] = {}
        """By name of a process: the release that it is from its next start on."""
        self.planned_stops: list[float] = []
        """When a worker was stopped as planned, while all was well."""

    def start(self) -> None:
        for topic in (CDC, EVENTS, REQUESTS, EXECUTORS):
            self.brokers.listeners[topic].append(self._tell_workers)
        for topic in (CONTROL, *map(runs_topic, self.slots)):
            self.brokers.listeners[topic].append(self._tell_executors)
        for number in range(self.size.workers):
            self._start_worker(f"stream-{number}")
        for number in range(self.size.executors):
            self._start_executor(f"executor-{number}")
        self.sinks.start()

    def open_log(self, worker: Worker, partition: int) -> OwnerLog:
        groups = {each.name: self.executor_groups[each.name] for each in worker.core.classes}
        return OwnerLog(worker, partition, self.partitions, self.brokers, groups, worker.clock, worker.release)

    def restart_worker_later(self, worker: Worker) -> None:
        seconds = self.restart_seconds.pop(worker.name, RESTART_SECONDS)
        self.world.after(seconds, self._start_worker, worker.name)

    def restart_executor_later(self, executor: Executor) -> None:
        seconds = self.restart_seconds.pop(executor.name, RESTART_SECONDS)
        self.world.after(seconds, self._start_executor, executor.name)

    def start_what_is_dead(self) -> None:
        """Without waiting for the end of a pause before a restart."""
        for worker in list(self.workers.values()):
            self._start_worker(worker.name)
        for executor in list(self.executors.values()):
            self._start_executor(executor.name)

    def _start_worker(self, name: str) -> None:
        if name in self.workers and self.workers[name].is_alive:
            return
        worker = self.workers[name] = Worker(self, name)
        worker.start()

    def _start_executor(self, name: str) -> None:
        if name in self.executors and self.executors[name].is_alive:
            return
        self._lives += 1
        executor = self.executors[name] = Executor(self, name, self._lives)
        executor.start()

    def _tell_workers(self, log: Log) -> None:
        for worker in self.workers.values():
            if worker.is_alive:
                worker.notice(log)

    def _tell_executors(self, log: Log) -> None:
        for executor in self.executors.values():
            if executor.is_alive:
                executor.notice(log)
