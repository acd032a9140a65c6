"""Measures 1,000,000 active cron jobs with 5,000 schedules on one worker: memory, recovery, a tick with nothing due."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bench import partitions
from bench.figure import Bench, Figure, Line, NotMeasuredError, percentile
from bench.processes import StreamWorker, cpu_seconds, peak_rss_mb, rss_mb
from connectors.cluster import establish
from schemas.partition import partition_of
from schemas.settings import AgreedSettings, Connections
from schemas.topics import CDC, STATE
from streams.owner.owner import Owner
from tests.support.servers.kafka_node import running_kafka
from tests.support.servers.topic_records import each_committed
from tidemill.target import wall_clock

TIMERS = 5_000
RECOVERY_SECONDS = 60
PATIENCE_SECONDS = 300
IDLE_SECONDS = 20
TICKS = 200


def measure(bench: Bench) -> Iterator[Line]:
    count = bench.pick(1_000_000, 20_000)
    yield from _idle_ticks(count)
    with running_kafka() as address:
        connections = Connections(kafka_bootstrap=address)
        establish(connections, AgreedSettings())
        partitions.write(
            connections, (partitions.job(each, _schedule(each)) for each in range(count)), wall_clock(), bench.say
        )
        began = time.monotonic()
        read = sum(1 for _ in each_committed(connections, STATE))
        baseline = f"reading the {read} records, and no more: {time.monotonic() - began:.0f} s"
        yield from _recovery(bench, connections, count, baseline)


def _recovery(bench: Bench, connections: Connections, count: int, baseline: str) -> Iterator[Line]:
    began = time.monotonic()
    with StreamWorker(partitions.environment(connections)) as worker:
        worker.wait_ready(PATIENCE_SECONDS)
        took = time.monotonic() - began
        bench.say(f"recovered after {took:.1f} s, {cpu_seconds(worker.pid):.1f} s of CPU")
        yield Line(what="start to recovered", value=took, unit="s", at_most=RECOVERY_SECONDS, baseline=baseline)
        yield Line(what="CPU of it", value=cpu_seconds(worker.pid), unit="s")
        used = cpu_seconds(worker.pid)
        time.sleep(bench.pick(IDLE_SECONDS, 3))
        used = cpu_seconds(worker.pid) - used
        per_job = f"{(rss_mb(worker.pid)) * 1024 * 1024 / count:.0f} bytes a job"
        yield Line(what="resident memory", value=rss_mb(worker.pid) / 1024, unit="GB", at_most=2, baseline=per_job)
        yield Line(what="resident memory, peak", value=peak_rss_mb(worker.pid) / 1024, unit="GB", at_most=2)
        share = 100 * used / bench.pick(IDLE_SECONDS, 3)
        yield Line(what="CPU with nothing due", value=share, unit="% of a core", baseline=f"{os.cpu_count()} cores")


def _idle_ticks(count: int) -> Iterator[Line]:
    """Ticks of one partition, which has its share of the jobs and nearly all of the timers."""
    home = Connections().partitions
    specs = (partitions.job(each, _schedule(each)) for each in range(count))
    at = wall_clock()
    owner = Owner(partitions.in_memory((each for each in specs if partition_of(each.job_id, home) == 0), at), home)
    owner.reach_end(CDC, -1)
    owner.prepare(at, clock_is_steady=True)
    owner.committed(at)
    found = []
    for number in range(TICKS):
        began = time.perf_counter()
        prepared = owner.prepare(at + timedelta(milliseconds=10 * number), clock_is_steady=True)
        found.append((time.perf_counter() - began) * 1000)
        if prepared is not None:
            raise NotMeasuredError("something was due, or a watermark was committed")
    what = f"{len(owner.state.durable.jobs)} jobs, {len(owner.state.derived.timers)} timers"
    yield Line(what="tick with nothing due, p99", value=percentile(found, 0.99), unit="ms", at_most=5, baseline=what)


def _schedule(number: int) -> str:
    """One of 5,000 schedules, none of which is due within two days."""
    which = number % TIMERS
    day = (datetime.now(UTC) + timedelta(days=3 + which // 1440)).day  # noqa: TID251 - an edge
    return f"{which % 60} {which // 60 % 24} {day} * *"


FIGURES = (Figure(name="million", claim="1,000,000 active cron jobs on one worker, 5,000 timers", measure=measure),)
