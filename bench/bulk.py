"""Measures how fast jobs from one COPY or one DELETE are applied, and how long other work waits behind them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Producer

from bench import partitions
from bench.baselines import TRUE
from bench.due import warm
from bench.figure import Bench, Figure, Line, NotMeasuredError, percentile
from bench.processes import StreamWorker, cpu_seconds
from bench.stacks import Shape, jobs
from connectors.cluster import establish
from schemas.codec import encode
from schemas.ids import request_run_id
from schemas.partition import partition_of
from schemas.settings import AgreedSettings, Connections
from schemas.times import epoch_ms, rfc3339
from schemas.topics import CDC, STATE
from streams.owner.owner import Owner
from streams.owner.records import InRecord
from streams.owner.transaction_records import JOB_PREFIX
from tests.support.servers.kafka_node import running_kafka
from tests.support.servers.topic_records import each_committed
from tests.support.stack_client import StackClient
from tests.support.waiting import eventually
from tidemill.target import Row, wall_clock

APPLIED_PER_SECOND = 10_000
COPY_CPU_SECONDS = 20
LATE_MS = 250
ASK_SECONDS = {10_000: 2.0, 100_000: 15.0}
READY_SECONDS = 120
APPLIED_SECONDS = 300
AT_ONCE = 1_000
SCHEDULES = 1_440
"""The number of distinct schedules: one for each minute of a day. None is due soon."""
ASKED, TICKING = "bulk-asked", "bulk-ticking"


def measure(bench: Bench) -> Iterator[Line]:
    count = bench.pick(100_000, 2_000)
    yield from _in_memory(count)
    with running_kafka() as address:
        connections = Connections(kafka_bootstrap=address)
        establish(connections, AgreedSettings())
        yield from _from_the_log(bench, connections, count)
    client = bench.stacks.get(Shape())
    warm(client)
    for size in ASK_SECONDS if not bench.short else (2_000,):
        yield from _through_the_stack(bench, client, size)


def _row(number: int, at: datetime, *, deleted: bool = False) -> bytes:
    """A row of `definitions`, as the connector writes it."""
    spec = encode(partitions.job(number, f"{number % 60} {number // 60 % 24} 1 1 *")).decode()
    row = {
        "owner": f"customer-{number:07d}",
        "kind": "job",
        "version": number + 1 + deleted * 1_000_000,
        "valid_from": rfc3339(at),
        "deleted": deleted,
        "spec": None if deleted else spec,
        "__table": "definitions",
        "__op": "c",
        "__lsn": number,
    }
    return orjson.dumps(row)


def _in_memory(count: int) -> Iterator[Line]:
    """One owner reads, decides and encodes. Measures CPU seconds, which other load on the machine does not change."""
    now = wall_clock()
    owner = Owner(partitions.in_memory((), now), 1)
    owner.reach_end(CDC, -1)
    records = [_record(number, now) for number in range(count)]
    used, longest = 0.0, 0.0
    for first in range(0, count, AT_ONCE):
        for each in records[first : first + AT_ONCE]:
            owner.offer(each)
        while owner.queued:
            now += timedelta(milliseconds=20)
            began = time.process_time()
            if owner.prepare(now, clock_is_steady=True):
                owner.committed(now)
            turn = time.process_time() - began
            used, longest = used + turn, max(longest, turn)
    yield Line(
        what="core and codec alone",
        value=count / used,
        unit="definitions per CPU second",
        at_least=APPLIED_PER_SECOND,
        baseline=f"the longest turn {longest * 1000:.0f} ms",
    )


def _record(number: int, at: datetime) -> InRecord:
    return InRecord(topic=CDC, offset=number, key=b"", value=_row(number, at), appended_at=at)


def _from_the_log(bench: Bench, connections: Connections, count: int) -> Iterator[Line]:
    with StreamWorker(partitions.environment(connections)) as worker:
        worker.wait_ready(READY_SECONDS)
        for what, deleted in (("one worker, 8 partitions", False), ("the same, deletions", True)):
            rows = [_row(number, wall_clock(), deleted=deleted) for number in range(count)]
            used, began = cpu_seconds(worker.pid), wall_clock()
            _write(connections, rows)
            bench.say(f"{count} definitions are in {CDC}")
            seconds = (_applied_at(connections, count, began) - epoch_ms(began)) / 1000
            used = cpu_seconds(worker.pid) - used
            yield Line(
                what=what,
                value=count / seconds,
                unit="definitions/s",
                at_least=APPLIED_PER_SECOND,
                baseline=f"{used / count * 1e6:.0f} µs of the worker's CPU each",
            )


def _write(connections: Connections, rows: Sequence[bytes]) -> None:
    producer = Producer(connections.kafka(linger_ms=20, queue_buffering_max_messages=200_000))
    topic = connections.topic(CDC)
    for number, row in enumerate(rows):
        owner = f"customer-{number:07d}"
        producer.produce(topic, row, owner, partition_of(owner, connections.partitions))
        producer.poll(0)
    assert producer.flush(READY_SECONDS) == 0, "the definitions could not be written"


def _applied_at(connections: Connections, count: int, since: datetime) -> int:
    """Wait until all definitions are applied, and return when the last one was committed."""
    found: list[int] = []

    def all_there() -> bool:
        found[:] = [
            each.timestamp()[1]
            for each in each_committed(connections, STATE)
            if (each.key() or b"").startswith(JOB_PREFIX.encode()) and each.timestamp()[1] >= epoch_ms(since)
        ]
        return len(found) >= count

    eventually(all_there, APPLIED_SECONDS, lambda: f"{count} definitions ({len(found)} are applied)")
    return max(found)


def _through_the_stack(bench: Bench, client: StackClient, size: int) -> Iterator[Line]:
    """Do one COPY and one DELETE, each followed by a request, while another job is due every second."""
    executable = client.put_object("bench/true", Path(TRUE).read_bytes())
    beside: list[dict[str, Any]] = [
        {"job_id": ASKED, "executable": executable, "schedule": None, "overlap_policy": "skip"},
        {"job_id": TICKING, "executable": executable, "schedule": "* * * * * *", "overlap_policy": "allow_all"},
    ]
    with jobs(client, beside):
        eventually(lambda: client.runs_of(TICKING), READY_SECONDS, "the first run beside it")
        began = client.now()
        copied = _server_cpu(client, lambda: _copy(client, size))
        bench.say(f"COPY of {size} took {(client.now() - began).total_seconds():.1f} s")
        yield Line(what=f"COPY of {size:,}", value=copied, unit="s of CPU", at_most=COPY_CPU_SECONDS * size / 100_000)
        yield from _asked_behind(client, f"a request behind COPY of {size:,}", began, ASK_SECONDS.get(size))
        began = client.now()
        client.database.execute("delete from jobs where starts_with(job_id, 'customer-')")
        yield from _asked_behind(client, f"a request behind DELETE of {size:,}", began, ASK_SECONDS.get(size))


def _copy(client: StackClient, size: int) -> None:
    into = "copy tidemill.jobs (job_id, schedule, executable) from stdin"
    with client.database.cursor() as cursor, cursor.copy(into) as rows:
        for number in range(size):
            schedule = f"{number % 60} {number // 60 % 24} 1 1 *"
            rows.write_row((f"customer-{number:07d}", schedule, "s3://tidemill/bench/true"))


def _server_cpu(client: StackClient, work: Callable[[], None]) -> float:
    """The CPU seconds that the server used for this connection."""
    pid = client.database.info.backend_pid
    before = cpu_seconds(pid)
    work()
    return cpu_seconds(pid) - before


def _asked_behind(client: StackClient, what: str, began: datetime, at_most: float | None) -> Iterator[Line]:
    request_id = f"{what.split()[3]}-{epoch_ms(began)}"
    asked = client.now()
    client.request(ASKED, request_id)
    run = client.wait_until_final(request_run_id(ASKED, request_id), APPLIED_SECONDS)
    waited = (run["started_at"] - asked).total_seconds()
    yield Line(what=what, value=waited, unit="s", at_most=at_most)
    beside = [each for each in client.runs_of(TICKING) if began <= each["scheduled_time"] < run["started_at"]]
    late = [_lateness_ms(client.wait_until_final(each["run_id"])) for each in beside]
    if not late:
        raise NotMeasuredError(f"nothing was due beside it: {what}")
    baseline = f"p50 {percentile(late, 0.5):.0f} ms of {len(late)}"
    yield Line(what="due meanwhile, the latest", value=max(late), unit="ms", at_most=LATE_MS, baseline=baseline)


def _lateness_ms(run: Row) -> float:
    if run["started_at"] is None:
        raise NotMeasuredError(f"{run['run_id']} has not started: {run['state']}, {run['reason']}")
    return float((run["started_at"] - run["scheduled_time"]).total_seconds() * 1000)


FIGURES = (
    Figure(
        name="bulk",
        claim=f"100,000 definitions at once: {APPLIED_PER_SECOND:,} a second, and what waits for them",
        measure=measure,
    ),
)
