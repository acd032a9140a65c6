"""Looks at stream workers, executors, and each reader's lag; `now` is the brokers' time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.owner_clocks import Seen, latest_clocks
from schemas.classes import parse_classes
from schemas.cluster_clock import AGREE_SECONDS
from schemas.confinement import Sandbox
from schemas.errors import TidemillError
from schemas.settings import Connections
from schemas.topics import executor_group, runs_topic
from tidemill.doctor.facts import Executor, Executors, Reader, Readers, Silent, Streams, silent
from tidemill.doctor.look_kafka import ANSWER_SECONDS
from tidemill.heartbeats import executor_rows, present, recent_beats, shared_names
from tidemill.lag import admin_client, waiting_records
from tidemill.members import behind, margins_of, workers

CLOCKS_AGREE = timedelta(seconds=AGREE_SECONDS)


def look_streams(target: Connections, now: datetime, settings_version: int) -> Streams | Silent:
    try:
        found = workers(target)
        clocks = latest_clocks(target)
    except (KafkaException, TimeoutError, TidemillError) as error:
        return silent(error)
    return Streams(
        group=found.group,
        state=found.state,
        held=found.held,
        partitions=target.partitions,
        quiet={number: _quiet(clocks.get(number), now) for number in range(target.partitions)},
        decided_ahead=_decided_ahead(clocks, now),
        newest_version=max((each.clock.newest_version for each in clocks.values()), default=0),
        behind=behind(settings_version, found.held, clocks),
    )


def look_executors(target: Connections, now: datetime) -> Executors | Silent:
    try:
        classes = tuple(each.name for each in parse_classes(target.timeout_classes))
        admin = admin_client(target)
        topics = admin.list_topics(timeout=ANSWER_SECONDS).topics
        names = {each: target.topic(runs_topic(each)) for each in classes}
        beats = recent_beats(target, now)
        return Executors(
            classes=classes,
            executors=tuple(map(_executor, executor_rows(present(beats), now, shared_names(beats)))),
            held={each: _held(admin, target, each) for each in classes},
            partitions={each: len(topics[name].partitions) for each, name in names.items() if name in topics},
            margins=tuple(margins_of(each) for _, each in present(beats)),
        )
    except (KafkaException, TimeoutError, TidemillError) as error:
        return silent(error)


def look_readers(target: Connections, now: datetime) -> Readers | Silent:
    try:
        found = waiting_records(target)
    except (TidemillError, psycopg.Error) as error:
        return silent(error)
    return tuple(
        Reader(name=name, waiting=each.records, oldest_age=_age(now, each.since)) for name, each in found.items()
    )


def _held(admin: AdminClient, target: Connections, timeout_class: str) -> frozenset[int]:
    """Ask librdkafka: aiokafka does not know the group protocol of executors."""
    group = executor_group(target.topic_prefix, timeout_class)
    asked = admin.describe_consumer_groups([group], request_timeout=ANSWER_SECONDS)[group]
    members: Iterable[Any] = asked.result(2 * ANSWER_SECONDS).members
    return frozenset(each.partition for member in members for each in member.assignment.topic_partitions)


def _quiet(seen: Seen | None, now: datetime) -> timedelta | None:
    """The age of the owner's clock. An owner writes it every few seconds, so an old clock shows a stuck partition."""
    return _age(now, seen.appended_at if seen else None)


def _decided_ahead(clocks: Mapping[int, Seen], now: datetime) -> dict[int, timedelta]:
    """Compare each owner's watermark with `now`, or with its record's append time if that is later."""
    ahead = {number: each.clock.watermark - max(now, each.appended_at) for number, each in clocks.items()}
    return {number: each for number, each in ahead.items() if each > CLOCKS_AGREE}


def _age(now: datetime, since: datetime | None) -> timedelta | None:
    return None if since is None else max(now - since, timedelta(0))


def _executor(row: dict[str, Any]) -> Executor:
    return Executor(
        name=row["name"],
        state=row["state"],
        version=row["version"],
        slots={name: each["slots"] for name, each in row["classes"].items()},
        free={name: each["free"] for name, each in row["classes"].items()},
        settings_version=row["settings_version"],
        shares_its_name=row["shares_its_name"],
        ill=row["ill"],
        gives=row["gives"],
        is_confining=(row["capabilities"] or {}).get("default") not in (None, Sandbox.NONE.value),
        lacks=tuple((row["capabilities"] or {}).get("lacks", ())),
    )
