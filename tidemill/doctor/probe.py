"""Requests the probe run, and follows it through every topic until its row shows its end."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta

import psycopg
from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from connectors.objects import Objects
from schemas.classes import parse_classes
from schemas.errors import TidemillError
from schemas.ids import DOCTOR_JOB, OwnerId, RequestId, request_run_id
from schemas.partition import partition_of
from schemas.settings import Connections
from schemas.times import from_epoch_ms
from schemas.topics import CDC, EVENTS, STATUS, runs_topic
from schemas.words import RunState
from tidemill.doctor.facts import Offset, Silent, silent
from tidemill.doctor.hops import Journey, Mark
from tidemill.doctor.look_services import FOLDER
from tidemill.doctor.trail import Trail
from tidemill.lag import offsets, quiet_options
from tidemill.queries import one, text
from tidemill.target import Row, connect

JOB = DOCTOR_JOB
"""The doctor's own job: each probe resets changes that users made to it."""
POLL_SECONDS = 0.02
BATCH = 1000


def probe(target: Connections, limit: timedelta, ahead: timedelta) -> Journey | Silent:
    """Request a run and follow it, waiting up to `limit` for each hop.

    `ahead`: how far the brokers' clock is ahead of Postgres'; converts Postgres' times to the brokers' clock.
    """
    try:
        # A new program, so that the executor must fetch it and the probe measures the fetch.
        content = f"#!/bin/sh\n# {secrets.token_hex(8)}\nexit 0\n".encode()
        program = Objects(target).put(f"{FOLDER}/probe", content)
    except TidemillError as error:
        return silent(error)
    return travel(target, JOB, program, limit, ahead)


def travel(target: Connections, job: OwnerId, program: str, limit: timedelta, ahead: timedelta) -> Journey | Silent:
    """As `probe`, with a job and a program of the caller."""
    request_id = f"probe-{secrets.token_hex(8)}"
    trail = Trail(request_run_id(job, RequestId(request_id)), request_id)
    try:
        with _reader(target, job) as reader, connect(target.postgres_dsn) as postgres:
            trail.leave(Mark.ACCEPTED, _ask(postgres, job, program, request_id) + ahead)
            _follow(trail, limit, lambda: _look(trail, reader, postgres, target, ahead))
    except (KafkaException, TimeoutError, TidemillError, psycopg.Error) as error:
        return silent(error)
    return Journey(
        run_id=trail.run_id,
        marks=trail.marks,
        succeeded=trail.state is RunState.SUCCEEDED,
        said=trail.said,
        limit=limit,
    )


def clock_difference(kafka: Offset | None, postgres: Offset) -> timedelta:
    """How far the brokers' clock is ahead of Postgres'; 0 if unknown."""
    if kafka is None:
        return timedelta(0)
    return timedelta(seconds=(kafka.low + kafka.high - postgres.low - postgres.high) / 2)


def _ask(postgres: psycopg.Connection[Row], job: OwnerId, program: str, request_id: str) -> datetime:
    """Write the request, and return its time by Postgres' clock."""
    with postgres.transaction():
        postgres.execute(text("doctor_job"), {"job_id": job, "executable": program})
        row = one(postgres, "doctor_request", {"job_id": job, "request_id": request_id})
    assert row is not None
    found: datetime = row["at"]
    return found


def _follow(trail: Trail, limit: timedelta, look: Callable[[], None]) -> None:
    """Look until the last mark is seen, or no new mark appears for `limit`."""
    marks, deadline = 0, 0.0
    while Mark.SHOWN not in trail.marks:
        if len(trail.marks) > marks:
            marks, deadline = len(trail.marks), time.monotonic() + limit.total_seconds()
        if time.monotonic() > deadline:
            return
        look()


def _look(
    trail: Trail, reader: Consumer, postgres: psycopg.Connection[Row], target: Connections, ahead: timedelta
) -> None:
    for message in reader.consume(1, POLL_SECONDS) + reader.consume(BATCH, 0):
        topic, value = message.topic(), message.value()
        if message.error() is None and topic and value:
            trail.see(topic.removeprefix(target.topic_prefix), value, from_epoch_ms(message.timestamp()[1]))
    if Mark.JUDGED in trail.marks:
        shown = one(postgres, "doctor_shown", {"run_id": trail.run_id})
        if shown:
            trail.leave(Mark.SHOWN, shown["at"] + ahead)


@contextmanager
def _reader(target: Connections, job: OwnerId) -> Iterator[Consumer]:
    """Read the probe's partition of every topic from its current end."""
    names = [CDC, EVENTS, STATUS, *(runs_topic(each.name) for each in parse_classes(target.timeout_classes))]
    partition = partition_of(job, target.partitions)
    where = [(target.topic(name), partition) for name in names]
    ends = offsets(target, where, OFFSET_END)
    options = {"isolation.level": "read_committed", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 20}
    with closing(
        Consumer(quiet_options(target, group_id="tidemill-cli", enable_auto_commit=False) | options)
    ) as reader:
        reader.assign([TopicPartition(topic, number, offset) for (topic, number), offset in ends.items()])
        yield reader
