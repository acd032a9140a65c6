"""Looks at the brokers and at every topic; one record goes to the heartbeat topic, to read the brokers' clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError as AioKafkaError
from aiokafka.protocol.admin import ApiVersionRequest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaException, Message, Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from connectors.topics import desired_topics, heartbeat_topic
from schemas.errors import TidemillError
from schemas.settings import Connections, read
from schemas.times import from_epoch_ms
from streams.security import admin_options
from streams.settings import StreamSettings
from tidemill.doctor.facts import Broker, FoundTopic, Kafka, Offset, Silent, Topic, silent
from tidemill.doctor.look_postgres import between
from tidemill.lag import admin_client, quiet, shut_out
from tidemill.place import wall_clock

ANSWER_SECONDS = 5.0
BROKER_SETTINGS = (
    "auto.create.topics.enable",
    "group.consumer.session.timeout.ms",
    "group.min.session.timeout.ms",
    "offsets.retention.minutes",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
)
"""Those that the checks ask for."""
_CONSUMER_GROUP_HEARTBEAT = 68


def look(place: Connections) -> Kafka | Silent:
    try:
        admin = admin_client(place)
        cluster = admin.describe_cluster(request_timeout=ANSWER_SECONDS).result(2 * ANSWER_SECONDS)
        topics = tuple(_topics(place, admin))
        is_there = any(each.found for each in topics if each.desired.name == heartbeat_topic(place))
        clock, write_refused = _clock(place) if is_there else (None, None)
        return Kafka(
            cluster_id=cluster.cluster_id,
            brokers=tuple(_broker(admin, node.id) for node in sorted(cluster.nodes, key=lambda each: each.id)),
            consumer_protocol=_consumer_protocol(place),
            topics=topics,
            replication_factor=place.replication_factor,
            session_timeout=read(StreamSettings).session_timeout,
            clock=clock,
            write_refused=write_refused,
        )
    except (KafkaException, TimeoutError) as error:
        return Silent(reason=f"{place.kafka_bootstrap}: {shut_out(place) or silent(error).reason}")
    except TidemillError as error:
        return silent(error)


def _broker(admin: AdminClient, number: int) -> Broker:
    """Not everybody may read a broker's settings, and not every service lets them."""
    try:
        found = _configs(admin, ResourceType.BROKER, [str(number)])[str(number)]
    except (KafkaException, TimeoutError):
        found = {}
    return Broker(number=number, settings={name: found[name] for name in BROKER_SETTINGS if name in found})


def _configs(admin: AdminClient, kind: ResourceType, names: Iterable[str]) -> dict[str, dict[str, str]]:
    asked = admin.describe_configs([ConfigResource(kind, name) for name in names], request_timeout=ANSWER_SECONDS)
    return {
        resource.name: {entry.name: entry.value or "" for entry in future.result(2 * ANSWER_SECONDS).values()}
        for resource, future in asked.items()
    }


def _topics(place: Connections, admin: AdminClient) -> Iterable[Topic]:
    desired = {each.name: each for each in desired_topics(place)}
    existing = admin.list_topics(timeout=ANSWER_SECONDS).topics
    names = [name for name in desired if name in existing]
    configs = _configs(admin, ResourceType.TOPIC, names) if names else {}
    asked = admin.describe_topics(TopicCollection(names), request_timeout=ANSWER_SECONDS) if names else {}
    found = {
        name: _found(future.result(2 * ANSWER_SECONDS).partitions, configs[name]) for name, future in asked.items()
    }
    return [Topic(desired=each, found=found.get(name)) for name, each in desired.items()]


def _found(partitions: Any, config: dict[str, str]) -> FoundTopic:
    return FoundTopic(
        partitions=len(partitions),
        config=config,
        replicas=min(len(each.replicas) for each in partitions),
        in_sync=min(len(each.isr) for each in partitions),
        leaderless=tuple(each.id for each in partitions if each.leader is None or each.leader.id < 0),
    )


def _consumer_protocol(place: Connections) -> int | None:
    """Asked of one broker: a cluster speaks what its oldest broker speaks, once it is upgraded."""
    try:
        versions = asyncio.run(asyncio.wait_for(_api_versions(place), ANSWER_SECONDS))
    except (TimeoutError, OSError, AioKafkaError):
        return None
    return versions.get(_CONSUMER_GROUP_HEARTBEAT)


async def _api_versions(place: Connections) -> dict[int, int]:
    client = AIOKafkaClient(bootstrap_servers=place.kafka_bootstrap, **admin_options(place.kafka_options))
    try:
        await client.bootstrap()
        answer = await client.send(client.get_random_node(), ApiVersionRequest())
        return {api: highest for api, _, highest in answer.api_versions}
    finally:
        await client.close()


def _clock(place: Connections) -> tuple[Offset | None, str | None]:
    """How far the brokers' clock is ahead of this machine's; else why no record could be written."""
    told: list[tuple[Any, Message]] = []
    producer = Producer(quiet(place, message_timeout_ms=int(ANSWER_SECONDS * 1000), linger_ms=0))
    producer.list_topics(heartbeat_topic(place), timeout=ANSWER_SECONDS)  # so that the record alone is timed
    before = wall_clock()
    producer.produce(
        heartbeat_topic(place),
        b"{}",
        b"tidemill-doctor",
        on_delivery=lambda error, message: told.append((error, message)),
    )
    producer.flush(2 * ANSWER_SECONDS)
    after = wall_clock()
    if not told:
        return None, "no acknowledgement in time"
    error, message = told[0]
    if error is not None:
        return None, str(error.str())
    kind, appended_ms = message.timestamp()
    if kind != TIMESTAMP_LOG_APPEND_TIME:
        return None, None  # the topic's own check says so
    here = between(before, from_epoch_ms(appended_ms), after)
    return Offset(low=here.low, high=here.high + timedelta(milliseconds=1).total_seconds()), None
