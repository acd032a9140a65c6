"""Measures the cost of comparing a million definitions in Postgres with those of the streams (decision 52)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from confluent_kafka import Producer

from bench.figure import Bench, Figure, Line, percentile
from connectors import topics
from connectors.differences import find_differences
from connectors.held_definitions import HeldDefinitions
from connectors.migrate import migrate
from connectors.statements import sql
from schemas.codec import encode
from schemas.job import JobSpec
from schemas.partition import partition_of
from schemas.settings import Connections
from schemas.times import EPOCH
from schemas.topics import STATE
from streams.core.stored import StoredJob
from tests.support.servers.kafka_node import running_kafka
from tests.support.servers.postgres_node import running_postgres

DIGEST_SECONDS = 1.0
PARTITIONS, DIFFERENT, TIMES = 8, 7, 5
JOBS = """
    insert into tidemill.jobs (job_id, executable, schedule, version, updated_at, args)
    select 'job-' || number, 's3://tidemill/programs/report', '*/5 * * * *', number, now(), '["--day", "2026-01-01"]'
    from generate_series(1, %s) as number
"""


def measure(bench: Bench) -> Iterator[Line]:
    count = bench.pick(1_000_000, 20_000)
    with running_postgres(durable=True) as server, running_kafka() as address:
        target = Connections(kafka_bootstrap=address, postgres_dsn=server("tidemill"), partitions=PARTITIONS)
        bench.say(f"{count} definitions in Postgres and in the topic state")
        migrate(target.postgres_dsn)
        topics.create(target)
        _hold(target, count)
        with psycopg.connect(target.postgres_dsn, autocommit=True) as postgres:
            postgres.execute("set session_replication_role = replica")  # the triggers would take an hour
            postgres.execute(JOBS, [count])
            postgres.execute("vacuum analyze tidemill.jobs")
            digests = [_timed(lambda: postgres.execute(sql("definition_digest")).fetchone()) for _ in range(TIMES)]
            yield Line(what="digest, in Postgres", value=percentile(digests, 0.5), unit="s", at_most=DIGEST_SECONDS)
            held, before = HeldDefinitions(), _resident_mb()
            yield Line(what="reading what the streams hold", value=_timed(lambda: held.read(target)), unit="s")
            yield Line(what="memory of it", value=_resident_mb() - before, unit="MB")
            began = time.perf_counter()
            found = find_differences(postgres, held)
            yield Line(what="comparing each version", value=time.perf_counter() - began, unit="s")
        yield Line(what="differences found", value=len(found), unit=f"of {DIFFERENT}", at_least=DIFFERENT)


def _hold(target: Connections, count: int) -> None:
    """All definitions but `DIFFERENT` are in the topic `state`, as owners write them."""
    producer, topic = Producer(target.kafka(linger_ms=50, compression_type="lz4")), target.topic(STATE)
    for number in range(1, count + 1 - DIFFERENT):
        spec = JobSpec(job_id=f"job-{number}", executable="s3://tidemill/programs/report", schedule="*/5 * * * *")
        stored = StoredJob(version=number, valid_from=EPOCH, since=EPOCH, deleted=False, spec=spec)
        while True:
            try:
                producer.produce(topic, encode(stored), f"def/{spec.job_id}", partition_of(spec.job_id, PARTITIONS))
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def _resident_mb() -> float:
    """The memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000


def _timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


FIGURES = (Figure(name="definitions", claim="1,000,000 definitions compared with the streams", measure=measure),)
