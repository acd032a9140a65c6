"""Looks at the brokers, their clocks and every topic; writes a few records that have no effect."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError as AioKafkaError
from aiokafka.protocol.admin import ApiVersionRequest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from connectors.topics import desired_topics, heartbeat_topic
from schemas.clock_round import PRODUCER_OPTIONS, ask_brokers
from schemas.errors import TidemillError
from schemas.settings import Connections, read
from schemas.topics import EXECUTORS
from streams.clock import boot_seconds, host_seconds
from streams.security import admin_options
from streams.settings import StreamSettings
from tidemill.doctor.facts import Broker, FoundTopic, Kafka, Offset, Silent, Topic, silent
from tidemill.lag import access_error, admin_client, quiet_options

ANSWER_SECONDS = 5.0
BROKER_SETTINGS = (
    "auto.create.topics.enable",
    "group.consumer.session.timeout.ms",
    "group.min.session.timeout.ms",
    "offsets.retention.minutes",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
)
"""The broker settings that the checks need."""
_CONSUMER_GROUP_HEARTBEAT = 68


def look(target: Connections) -> Kafka | Silent:
    try:
        admin = admin_client(target)
        cluster = admin.describe_cluster(request_timeout=ANSWER_SECONDS).result(2 * ANSWER_SECONDS)
        topics = tuple(_topics(target, admin))
        there = {each.desired.name for each in topics if each.found}
        return Kafka(
            cluster_id=cluster.cluster_id,
            brokers=tuple(_broker(admin, node.id) for node in sorted(cluster.nodes, key=lambda each: each.id)),
            consumer_protocol=_consumer_protocol(target),
            topics=topics,
            replication_factor=target.replication_factor,
            session_timeout=read(StreamSettings).session_timeout,
            clocks=clocks(target) if target.topic(EXECUTORS) in there else {},
            write_refused=_write_refused(target) if heartbeat_topic(target) in there else None,
        )
    except (KafkaException, TimeoutError) as error:
        return Silent(reason=f"{target.kafka_bootstrap}: {access_error(target) or silent(error).reason}")
    except TidemillError as error:
        return silent(error)


def _broker(admin: AdminClient, number: int) -> Broker:
    """A broker's settings; empty if this user may not read them."""
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


def _topics(target: Connections, admin: AdminClient) -> Iterable[Topic]:
    desired = {each.name: each for each in desired_topics(target)}
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


def _consumer_protocol(target: Connections) -> int | None:
    """Ask one broker: all brokers of an upgraded cluster support the same version."""
    try:
        versions = asyncio.run(asyncio.wait_for(_api_versions(target), ANSWER_SECONDS))
    except (TimeoutError, OSError, AioKafkaError):
        return None
    return versions.get(_CONSUMER_GROUP_HEARTBEAT)


async def _api_versions(target: Connections) -> dict[int, int]:
    client = AIOKafkaClient(bootstrap_servers=target.kafka_bootstrap, **admin_options(target.kafka_options))
    try:
        await client.bootstrap()
        answer = await client.send(client.get_random_node(), ApiVersionRequest())
        return {api: highest for api, _, highest in answer.api_versions}
    finally:
        await client.close()


def _write_refused(target: Connections) -> str | None:
    """Why no record could be written; None: one was."""
    reports: list[KafkaError | None] = []
    producer = Producer(quiet_options(target, message_timeout_ms=int(ANSWER_SECONDS * 1000), linger_ms=0))
    producer.produce(
        heartbeat_topic(target), b"{}", b"tidemill-doctor", on_delivery=lambda error, _: reports.append(error)
    )
    producer.flush(2 * ANSWER_SECONDS)
    if not reports:
        return "no acknowledgement in time"
    return None if reports[0] is None else str(reports[0].str())


def clocks(target: Connections) -> dict[int, Offset]:
    """How far the clock of each broker is ahead of this machine's."""
    asked = ask_brokers(
        Producer(quiet_options(target, **PRODUCER_OPTIONS)), target.topic(EXECUTORS), boot_seconds, host_seconds
    )
    return {
        number: Offset(low=span.low - asked.host, high=span.high - asked.host) for number, span in asked.answers.items()
    }
