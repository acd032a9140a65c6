"""Makes partitions full of jobs, in memory or in a log, as an owner finds them in `state` at a takeover."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from confluent_kafka import Producer

from schemas.codec import encode
from schemas.heartbeat import ExecutorState, Heartbeat, Window
from schemas.ids import ExecutorId, OwnerId
from schemas.job import JobSpec
from schemas.partition import partition_of
from schemas.settings import Connections
from schemas.topics import EXECUTORS, STATE
from streams.blocking_produce import blocking_produce
from streams.core.settings import CoreSettings
from streams.core.state import OwnerState
from streams.core.stored import StoredJob
from streams.owner.intake import INPUT_TOPICS
from streams.owner.recover import rebuild
from streams.owner.replay import Replay
from streams.owner.transaction_records import JOB_PREFIX

FLUSH_SECONDS = 120.0
CLASS = "10s"
WINDOW = 1_000_000
"""A window for all runs, so that the executors do not limit the measured owner."""
TOPIC_IDS = {name: name for name in INPUT_TOPICS}

Schedule = Callable[[int], str]


def job(number: int, schedule: str) -> JobSpec:
    """A job with one of a hundred executables and its own arguments; all else is default."""
    return JobSpec(
        job_id=f"customer-{number:07d}",
        executable=f"s3://tidemill/reports/daily-{number % 100}",
        sha256=f"{number % 100:02x}" * 32,
        schedule=schedule,
        timezone="Europe/Berlin",
        args=("--customer", str(number)),
        timeout=timedelta(seconds=8),
    )


def stored(spec: JobSpec, since: datetime) -> StoredJob:
    return StoredJob(version=1, valid_from=since, since=since, deleted=False, spec=spec)


def in_memory(specs: Iterable[JobSpec], since: datetime) -> OwnerState:
    """An owner's state after recovery."""
    replay = Replay()
    replay.take((place, JOB_PREFIX + each.job_id, encode(stored(each, since))) for place, each in enumerate(specs))
    return rebuild(0, CoreSettings(), replay, TOPIC_IDS, since)


def write(connections: Connections, specs: Iterable[JobSpec], since: datetime, say: Callable[[str], None]) -> None:
    """Write the jobs into `state`, as earlier owners would have written them."""
    producer = Producer(
        connections.kafka(
            linger_ms=50, compression_type="lz4", queue_buffering_max_messages=200_000, batch_size=500_000
        )
    )
    topic = connections.topic(STATE)
    for number, each in enumerate(specs):
        partition = partition_of(OwnerId(each.job_id), connections.partitions)
        value, key = encode(stored(each, since)), JOB_PREFIX + each.job_id
        blocking_produce(producer, topic, value=value, key=key, partition=partition)
        if number % 100_000 == 0:
            say(f"{number} definitions written")
    assert producer.flush(FLUSH_SECONDS) == 0, "the definitions could not be written"


def heartbeat(partitions: int, at: datetime) -> Heartbeat:
    """The heartbeat of an executor with a window for all runs."""
    return Heartbeat(
        executor_id=ExecutorId("bench.1"),
        name="bench",
        host="bench",
        version="0",
        state=ExecutorState.RUNNING,
        at=at,
        interval=timedelta(seconds=3),
        slots=(),
        windows=tuple(Window(timeout_class=CLASS, partition=number, size=WINDOW) for number in range(partitions)),
        attempts=(),
    )


def beat(connections: Connections, producer: Producer, at: datetime) -> None:
    value = encode(heartbeat(connections.partitions, at))
    producer.produce(connections.topic(EXECUTORS), value, "bench.1", partition_of("bench.1", connections.partitions))
    assert producer.flush(FLUSH_SECONDS) == 0, "no heartbeat could be written"


def environment(connections: Connections) -> dict[str, str]:
    """The variables with which a stream worker finds this log."""
    return {
        "TIDEMILL_KAFKA_BOOTSTRAP": connections.kafka_bootstrap,
        "TIDEMILL_PARTITIONS": str(connections.partitions),
    }
