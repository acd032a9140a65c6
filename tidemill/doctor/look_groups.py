"""Looks at those who work on the topics: stream workers, executors, each reader's lag; `now` is the brokers' clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import psycopg
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import LatestSpec, OffsetSpec

from schemas.classes import parse_classes
from schemas.cluster_clock import AGREE_SECONDS
from schemas.codec import decode
from schemas.errors import TidemillError
from schemas.settings import Connections, read
from schemas.times import from_epoch_ms
from schemas.topics import CDC, STATE, executor_group, runs_topic
from streams.core.stored import StoredClock
from streams.owner.commit import CLOCK_KEY
from streams.settings import StreamSettings
from tidemill.doctor.facts import Executor, Executors, Reader, Readers, Silent, Streams, silent
from tidemill.doctor.look_kafka import ANSWER_SECONDS
from tidemill.lag import admin_client, offsets, read_to_end, waits
from tidemill.observe import executors

CLOCKS_AGREE = timedelta(seconds=AGREE_SECONDS)
LAST_RECORDS = 100
"""Of each partition of `state`. The last transaction may be the one by which an owner took over, which has no clock."""


def look_streams(place: Connections, now: datetime) -> Streams | Silent:
    group = read(StreamSettings).stream_group
    try:
        admin = admin_client(place)
        found = _group(admin, group)
        held = {
            each.partition: member.client_id
            for member in found.members
            for each in member.assignment.topic_partitions
            if each.topic == place.topic(CDC)
        }
        quiet_for, ahead = _quiet(place, admin, now), _decided_ahead(place, admin, now)
    except (KafkaException, TimeoutError, TidemillError) as error:
        return silent(error)
    return Streams(
        group=group,
        state=found.state.name.lower(),
        held=held,
        partitions=place.partitions,
        quiet=quiet_for,
        decided_ahead=ahead,
    )


def look_executors(place: Connections, now: datetime) -> Executors | Silent:
    try:
        classes = tuple(each.name for each in parse_classes(place.timeout_classes))
        admin = admin_client(place)
        topics = admin.list_topics(timeout=ANSWER_SECONDS).topics
        names = {each: place.topic(runs_topic(each)) for each in classes}
        return Executors(
            classes=classes,
            executors=tuple(map(_executor, executors(place, now))),
            held={each: _held(admin, place, each) for each in classes},
            partitions={each: len(topics[name].partitions) for each, name in names.items() if name in topics},
        )
    except (KafkaException, TimeoutError, TidemillError) as error:
        return silent(error)


def look_readers(place: Connections, now: datetime) -> Readers | Silent:
    try:
        found = waits(place)
    except (TidemillError, psycopg.Error) as error:
        return silent(error)
    return tuple(
        Reader(name=name, waiting=each.records, oldest_age=_age(now, each.since)) for name, each in found.items()
    )


def _group(admin: AdminClient, group: str) -> Any:
    return admin.describe_consumer_groups([group], request_timeout=ANSWER_SECONDS)[group].result(2 * ANSWER_SECONDS)


def _held(admin: AdminClient, place: Connections, timeout_class: str) -> frozenset[int]:
    members: Iterable[Any] = _group(admin, executor_group(place.topic_prefix, timeout_class)).members
    return frozenset(each.partition for member in members for each in member.assignment.topic_partitions)


def _quiet(place: Connections, admin: AdminClient, now: datetime) -> dict[int, timedelta | None]:
    """An owner writes its clock every few seconds, whatever else happens: a partition without is not decided."""
    spec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]  # theirs
    asked = {TopicPartition(place.topic(STATE), number): spec for number in range(place.partitions)}
    futures = admin.list_offsets(asked, request_timeout=ANSWER_SECONDS)
    latest = {where.partition: future.result(2 * ANSWER_SECONDS).timestamp for where, future in futures.items()}
    return {number: _age(now, from_epoch_ms(ms)) if ms >= 0 else None for number, ms in latest.items()}


def _decided_ahead(place: Connections, admin: AdminClient, now: datetime) -> dict[int, timedelta]:
    """What the last transaction of each owner says; it ends with the owner's clock."""
    topic = place.topic(STATE)
    asked = [(topic, number) for number in range(place.partitions)]
    ends = offsets(admin, asked, LatestSpec())  # type: ignore[no-untyped-call]  # theirs
    found: dict[int, timedelta] = {}
    for message in read_to_end(place, {where: max(0, end - LAST_RECORDS) for where, end in ends.items()}):
        if message.key() == CLOCK_KEY.encode():
            found[message.partition()] = decode(message.value(), StoredClock).watermark - now
    return {number: ahead for number, ahead in found.items() if ahead > CLOCKS_AGREE}


def _age(now: datetime, since: datetime | None) -> timedelta | None:
    return None if since is None else max(now - since, timedelta(0))


def _executor(row: dict[str, Any]) -> Executor:
    return Executor(
        name=row["name"],
        state=row["state"],
        version=row["version"],
        slots={name: each["slots"] for name, each in row["classes"].items()},
        free={name: each["free"] for name, each in row["classes"].items()},
    )
