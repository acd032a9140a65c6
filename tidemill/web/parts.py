"""The state of the parts of a deployment, as `tidemill status` shows it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import msgspec
import psycopg
from confluent_kafka import KafkaException

from connectors.owner_clocks import Seen, latest_clocks
from schemas.errors import TidemillError
from schemas.settings import Connections
from tidemill.connector import connector_state
from tidemill.heartbeats import executors
from tidemill.lag import Waiting, waiting_records
from tidemill.members import Workers, workers
from tidemill.monitor.deployment import Deployment
from tidemill.monitor.settings import MonitorSettings
from tidemill.overdue.command import judged, sink_is_behind
from tidemill.overdue.watch import Watch
from tidemill.target import Row, connect_to_read, wall_clock
from tidemill.web import schedules
from tidemill.web.background import Task
from tidemill.web.schedules import read_week

PARTS_EVERY = timedelta(seconds=10)
OVERDUE_EVERY = timedelta(seconds=30)
Value = TypeVar("Value")


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What is None did not answer; `problems` says why."""

    partitions: int | None
    """N of the deployment."""
    connector: str
    """`RUNNING`, or what is wrong."""
    waiting: dict[str, Waiting] | None
    """The records that wait for each reader: the sink, the streams, the executors of each class."""
    executors: list[Row] | None
    workers: Workers | None
    """The stream workers and their partitions."""
    clocks: dict[int, Seen] | None
    """By partition: up to when its owner has decided. A partition that has never decided has none."""
    problems: tuple[str, ...]


def read_parts(deployment: Deployment) -> Parts:
    problems: list[str] = []

    def attempt(read: Callable[[], Value]) -> Value | None:
        try:
            return read()
        except (TidemillError, KafkaException, psycopg.Error) as error:
            problems.append(str(error).splitlines()[0])
            return None

    return Parts(
        partitions=attempt(lambda: deployment.target().partitions),
        connector=connector_state(deployment.connections),
        waiting=attempt(lambda: waiting_records(deployment.target(), deployment.admin())),
        executors=attempt(lambda: executors(deployment.target(), wall_clock())),
        workers=attempt(lambda: workers(deployment.target())),
        clocks=attempt(lambda: latest_clocks(deployment.target())),
        problems=tuple(dict.fromkeys(problems)),
    )


class Overdue:
    """What `tidemill overdue` shows; it keeps all schedules, so that each look reads only what changed."""

    def __init__(self, target: Connections, settings: MonitorSettings) -> None:
        self._target, self._after = target, settings.overdue_after
        self._watch = Watch()
        self._is_loaded = False

    def read(self) -> list[Row]:
        """The longest overdue first. Raises `BrokersError`."""
        behind = sink_is_behind(self._target)
        with connect_to_read(self._target) as postgres:
            if not self._is_loaded:
                self._watch.load(postgres)
                self._is_loaded = True
            return judged(postgres, self._watch, self._after + behind)


def tasks(target: Connections, settings: MonitorSettings) -> dict[str, Task]:
    overdue = Overdue(target, settings)
    deployment = Deployment(target)
    return {
        "parts": Task(read=lambda: read_parts(deployment), every=PARTS_EVERY),
        "week": Task(read=lambda: read_week(target), every=schedules.EVERY),
        "overdue": Task(read=overdue.read, every=OVERDUE_EVERY),
    }
