"""Kills or freezes one of three brokers, and measures how late runs start that are requested meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count, cycle
from statistics import median

import psycopg
from confluent_kafka import KafkaException

from bench.figure import Bench, Figure, Line
from infra.brokers import NUMBERS
from schemas.partition import partition_of
from tests.support.operator.brokers import START_SECONDS, Brokers
from tests.support.operator.cluster import running_site
from tests.support.operator.document_runner import operator_of, variables
from tests.support.waiting import eventually

PARTITIONS = 4
EVERY_SECONDS = 0.5
BEFORE_SECONDS = 3
WATCHED_SECONDS = 20
DRAIN_SECONDS = 90
AT_MOST_SECONDS = 8
LOOK_SECONDS = 0.1
SINCE = """
from tidemill.requests q left join tidemill.runs r on r.run_id = q.job_id || '#' || q.request_id
where q.request_id like 'ask-%%' and q.created_at > %(since)s and q.created_at < %(until)s
"""
NOT_STARTED = f"select count(*) {SINCE} and r.started_at is null"
LONGEST = f"select max(extract(epoch from r.started_at - q.created_at))::float8 {SINCE}"


def measure(bench: Bench) -> Iterator[Line]:
    with running_site() as site, operator_of(site) as operator:
        operator.follow("cluster.md")
        jobs = _one_in_each_partition()
        for job in jobs:
            put = f"job put {job} --overlap allow_all --command true"
            operator.shell(f"{site.names['/opt/tidemill/bin']}/tidemill {put}")
        dsn = variables((site.folder / "operator.env").read_text())["TIDEMILL_POSTGRES_DSN"]
        with psycopg.connect(dsn, autocommit=True) as database, _asking(dsn, jobs):
            for what, is_controller, act in FAULTS:
                rounds = []
                for turn in range(bench.pick(3, 1)):
                    number = _chosen(site.brokers, turn, is_controller=is_controller)
                    rounds.append(_round(site.brokers, database, number, act))
                    bench.say(
                        f"{what}, {number}: other leaders after {rounds[-1][0]:.1f} s, start {rounds[-1][1]:.1f} s"
                    )
                leaders, starts = zip(*rounds, strict=True)
                said = f"others lead its partitions after {median(leaders):.1f} s; the worst {max(starts):.1f} s"
                yield Line(what=what, value=median(starts), unit="s", at_most=AT_MOST_SECONDS, baseline=said)


def _one_in_each_partition() -> list[str]:
    found: dict[int, str] = {}
    for number in count():
        if len(found) == PARTITIONS:
            return list(found.values())
        found.setdefault(partition_of(f"ask-{number}", PARTITIONS), f"ask-{number}")
    raise AssertionError


@contextmanager
def _asking(dsn: str, jobs: Sequence[str]) -> Iterator[None]:
    """Request runs of one job after the other, by rows in Postgres, until the block ends."""
    stop = threading.Event()

    def ask() -> None:
        with psycopg.connect(dsn, autocommit=True) as database:
            for number, job in enumerate(cycle(jobs)):
                database.execute(
                    "insert into tidemill.requests (request_id, job_id) values (%s, %s)", [f"ask-{number}", job]
                )
                if stop.wait(EVERY_SECONDS):
                    return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield
    finally:
        stop.set()
        asking.join()


def _chosen(brokers: Brokers, turn: int, *, is_controller: bool) -> int:
    controller = brokers.controller()
    others = [each for each in NUMBERS if each != controller]
    return controller if is_controller else others[turn % len(others)]


def _kill(brokers: Brokers, number: int) -> None:
    os.kill(brokers.pid(number), signal.SIGKILL)


def _freeze(brokers: Brokers, number: int) -> None:
    """Stop the process: as with a lost machine, connections stay open, and nothing answers."""
    os.kill(brokers.pid(number), signal.SIGSTOP)


def _round(
    brokers: Brokers, database: psycopg.Connection, number: int, act: Callable[[Brokers, int], None]
) -> tuple[float, float]:
    """The seconds until other brokers lead this one's partitions, and the longest time from a row to its process."""
    brokers.balance()
    since = _now(database)
    time.sleep(BEFORE_SECONDS)
    began = time.monotonic()
    act(brokers, number)
    eventually(lambda: not _leads(brokers, number), START_SECONDS, f"other leaders than broker {number}")
    leaders = time.monotonic() - began
    time.sleep(max(WATCHED_SECONDS - leaders, 0))
    watched = {"since": since, "until": _now(database)}
    brokers.kill(number)
    brokers.start(number)
    eventually(brokers.are_in_sync, START_SECONDS, f"the return of broker {number}")
    eventually(lambda: database.execute(NOT_STARTED, watched).fetchone() == (0,), DRAIN_SECONDS, "all starts")
    (longest,) = database.execute(LONGEST, watched).fetchone() or (0.0,)
    return leaders, longest


def _now(database: psycopg.Connection) -> datetime:
    (now,) = database.execute("select clock_timestamp()").fetchone() or (None,)
    assert isinstance(now, datetime)
    return now


def _leads(brokers: Brokers, number: int) -> bool:
    time.sleep(LOOK_SECONDS)
    try:
        topics = brokers.admin.list_topics(timeout=1).topics.values()
    except KafkaException:
        return True
    return any(each.leader in {number, -1} for topic in topics for each in topic.partitions.values())


FAULTS = (
    ("the controller is killed", True, _kill),
    ("another broker is killed", False, _kill),
    ("the controller is frozen", True, _freeze),
    ("another broker is frozen", False, _freeze),
)
FIGURES = (
    Figure(
        name="brokers",
        claim="one of three brokers fails, two requests a second: longest from a row to the start of its process",
        measure=measure,
    ),
)
