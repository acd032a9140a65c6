"""Measures one tick with 100,000 due jobs: in memory, and in a stream worker with real transactions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from confluent_kafka import Producer

from bench import partitions
from bench.figure import Bench, Figure, Line, NotMeasuredError
from bench.processes import StreamWorker, cpu_seconds
from connectors.cluster import establish
from schemas.settings import AgreedSettings, Connections
from schemas.times import epoch_ms
from schemas.topics import CDC, runs_topic
from streams.core.inputs import HeartbeatHeard
from streams.owner.owner import Owner
from tests.support.servers.kafka_node import running_kafka
from tests.support.servers.topic_records import each_committed
from tests.support.waiting import eventually
from tidemill.target import wall_clock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DUE = START + timedelta(seconds=30)
MUST, AIM = 10_000, 20_000
READY_SECONDS = 120
RECORDS_OF_A_RUN = 3
RECORD_BYTES = 750
AT_ONCE = 4_800


def measure(bench: Bench) -> Iterator[Line]:
    count = bench.pick(100_000, 5_000)
    yield from _in_memory(count)
    with running_kafka() as address:
        connections = Connections(kafka_bootstrap=address)
        establish(connections, AgreedSettings())
        yield from _in_transactions(bench, connections, count)


def _in_memory(count: int) -> Iterator[Line]:
    """One owner decides, dispatches and encodes. Measures CPU seconds, which other load does not change."""
    schedule = f"@at {DUE:%Y-%m-%dT%H:%M:%SZ}"
    owner = Owner(partitions.in_memory((partitions.job(each, schedule) for each in range(count)), START), 1)
    owner.reach_end(CDC, -1)
    owner.learn(HeartbeatHeard(heartbeat=partitions.heartbeat(1, DUE), appended_at=DUE))
    began, dispatched, size, records = time.process_time(), 0, 0, 0
    while dispatched < count:
        prepared = owner.prepare(DUE, clock_is_steady=True)
        if prepared is None:
            raise NotMeasuredError(f"the tick ended after {dispatched} of {count} dispatches")
        owner.committed(DUE)
        dispatched += sum(each.dispatch is not None for each in prepared.records)
        records += len(prepared.records)
        size += sum(len(each.value or b"") for each in prepared.records)
    rate = count / (time.process_time() - began)
    baseline = f"{records / count:.1f} records and {size / count:.0f} bytes a run"
    yield Line(what="core and codec alone", value=rate, unit="runs per CPU second", at_least=MUST, baseline=baseline)


def _in_transactions(bench: Bench, connections: Connections, count: int) -> Iterator[Line]:
    raw = _raw_log(connections, count)
    bench.say(f"the log alone takes {raw:.0f} runs/s; writing {count} definitions")
    due = (wall_clock() + timedelta(seconds=30 + count / 5_000)).replace(microsecond=0)
    schedule = f"@at {due:%Y-%m-%dT%H:%M:%SZ}"
    partitions.write(connections, (partitions.job(each, schedule) for each in range(count)), wall_clock(), bench.say)
    heart = Producer(connections.kafka())
    with StreamWorker(partitions.environment(connections)) as worker:
        worker.wait_ready(READY_SECONDS)
        if wall_clock() > due:
            raise NotMeasuredError("the worker was not ready before the jobs were due: the machine is too busy")
        bench.say("the worker is ready; waiting for the tick")
        while (left := (due - wall_clock()).total_seconds()) > 0:
            partitions.beat(connections, heart, wall_clock())
            time.sleep(min(2.0, left))
        used = cpu_seconds(worker.pid)
        appended = _dispatches(connections, count)
        used = cpu_seconds(worker.pid) - used
    seconds = (max(appended) - epoch_ms(due)) / 1000
    baseline = f"the same bytes in plain transactions: {raw:.0f} runs/s"
    yield Line(
        what="one worker, 8 partitions, to Kafka",
        value=count / seconds,
        unit="runs/s",
        at_least=MUST,
        aim=AIM,
        baseline=baseline,
    )
    yield Line(what="per CPU second of the worker", value=count / used, unit="runs")
    yield Line(what="first dispatch after", value=min(appended) - epoch_ms(due), unit="ms")


def _dispatches(connections: Connections, count: int) -> list[int]:
    """Wait for all dispatches, and return their append times."""
    topic = runs_topic(partitions.CLASS)
    found: list[int] = []

    def all_there() -> bool:
        found[:] = [each.timestamp()[1] for each in each_committed(connections, topic) if each.value() is not None]
        return len(found) >= count

    eventually(all_there, 120, lambda: f"{count} dispatches ({len(found)} are there)")
    if len(found) != count:
        raise NotMeasuredError(f"{len(found)} dispatches of {count} jobs")
    return found


def _raw_log(connections: Connections, count: int) -> float:
    """The runs per second without decisions: records and transactions of the same size."""
    producer = Producer(connections.kafka(transactional_id="bench", linger_ms=0, compression_type="lz4"))
    producer.init_transactions(READY_SECONDS)
    topic, value = connections.topic("status"), bytes(range(250)) * (RECORD_BYTES // 250)
    began, left = time.monotonic(), count * RECORDS_OF_A_RUN
    while left > 0:
        producer.begin_transaction()
        for number in range(min(left, AT_ONCE)):
            producer.produce(topic, value, str(number), partition=0)
        producer.commit_transaction(READY_SECONDS)
        left -= AT_ONCE
    return count / (time.monotonic() - began)


FIGURES = (
    Figure(name="tick", claim="one tick with 100,000 due jobs → all materialized and dispatched", measure=measure),
)
