"""Whom a demo kills: the worker that owns the busiest job, and the executor that started its last run."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.partition import partition_of
from schemas.settings import Connections, read
from schemas.topics import CDC
from streams.settings import StreamSettings
from tidemill.lag import KAFKA_SECONDS, quiet
from tidemill.place import Row

BUSIEST_JOB = "every-5s"
DEFAULT_WORKER = "stream-0"
DEFAULT_EXECUTOR = "executor-0"


def victims(place: Connections, runs: Sequence[Row]) -> tuple[str, str]:
    return worker_of(place, BUSIEST_JOB) or DEFAULT_WORKER, executor_of(runs) or DEFAULT_EXECUTOR


def executor_of(runs: Sequence[Row]) -> str | None:
    """An executor's id is its name and a random epoch."""
    started = [run for run in runs if run["started_at"] and run["executor_id"]]
    latest = max(started, key=lambda run: run["started_at"], default=None)
    return str(latest["executor_id"]).rpartition(".")[0] if latest else None


def worker_of(place: Connections, job_id: str) -> str | None:
    """The static member that holds the job's partition; None: Kafka cannot say at this moment."""
    group = read(StreamSettings).stream_group
    home = place.topic(CDC), partition_of(job_id, place.partitions)
    admin = AdminClient(quiet(place))  # kept: without it nobody would answer
    try:
        asked = admin.describe_consumer_groups([group], request_timeout=KAFKA_SECONDS)
        members = asked[group].result(2 * KAFKA_SECONDS).members
    except (KafkaException, TimeoutError):
        return None
    holders = (
        member.group_instance_id
        for member in members
        if home in {(each.topic, each.partition) for each in member.assignment.topic_partitions}
    )
    return next((name for name in holders if name), None)
