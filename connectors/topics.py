"""Creates the topics of Tidemill before any process uses them, and corrects their configuration (protocol O1, O2)."""

from __future__ import annotations

import time
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from schemas.classes import parse_classes
from schemas.errors import TidemillError
from schemas.settings import Connections
from schemas.topics import CLUSTER, Cleanup, Topic, all_topics, check_partitions

REQUEST_SECONDS = 10.0
"""The time limit of one request to the brokers."""
_QUIET = {"log_level": 2}
"""Errors raise exceptions here; without this option the client also logs them eight times a second."""
VISIBLE_SECONDS = 30.0
_POLL_SECONDS = 0.05
HEARTBEAT = "heartbeat"
_ONE_PARTITION = (
    # The topic of Debezium's heartbeats, which advance the connector's offsets while the captured tables are idle.
    Topic(name=HEARTBEAT, cleanup=Cleanup.DELETE, retention=timedelta(days=1)),
    Topic(name=CLUSTER, cleanup=Cleanup.COMPACT, retention=None),
)

_FAST_COMPACTION = {
    "segment.bytes": str(32 * 1024 * 1024),  # no smaller, because a segment must hold the largest batch
    "segment.ms": str(60 * 1000),
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": str(10 * 60 * 1000),
    # A reader that needs longer than this for the whole log may miss a tombstone.
    "delete.retention.ms": str(10 * 60 * 1000),
}


class KafkaRefusedError(TidemillError):
    """The brokers refused a request, or did not answer."""


class DesiredTopic(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    partitions: int
    config: dict[str, str]


def create(connections: Connections) -> list[str]:
    """Create missing topics, alter those with another configuration; returns the names of both.

    After it all brokers know every topic. Raises `TopicMismatchError`.
    """
    admin = _admin(connections)
    desired = desired_topics(connections)
    existing = _partition_counts(admin)
    _check_partitions(desired, existing)
    created = _create(admin, [topic for topic in desired if topic.name not in existing], connections.replication_factor)
    # Another process may create the same topics now, so compare the partition counts again.
    _check_partitions(desired, _await_all(admin, desired))
    return created + _alter(admin, [topic for topic in desired if topic.name not in created])


def topic_ids(connections: Connections, names: list[str] | None = None) -> dict[str, str]:
    """The ids of our topics, or of `names`: a topic that is deleted and created again has another id (protocol O2)."""
    admin = _admin(connections)
    wanted = names or [topic.name for topic in desired_topics(connections)]
    return {name: str(_wait(future).topic_id) for name, future in _describe(admin, wanted).items()}


def _admin(connections: Connections) -> AdminClient:
    return AdminClient(connections.kafka() | _QUIET)


def heartbeat_topic(connections: Connections) -> str:
    return connections.topic(HEARTBEAT)


def desired_topics(connections: Connections) -> list[DesiredTopic]:
    classes = tuple(each.name for each in parse_classes(connections.timeout_classes))
    durability = {"min.insync.replicas": str(min(2, max(1, connections.replication_factor - 1)))}
    kinds = ((all_topics(classes), connections.partitions), (_ONE_PARTITION, 1))
    return [
        DesiredTopic(name=connections.topic(each.name), partitions=partitions, config=durability | topic_config(each))
        for kind, partitions in kinds
        for each in kind
    ]


def topic_config(topic: Topic) -> dict[str, str]:
    """The configuration of a topic, as the brokers name its options."""
    retention = {"retention.ms": str(topic.retention // timedelta(milliseconds=1))} if topic.retention else {}
    return {
        "cleanup.policy": topic.cleanup.value,
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(topic.max_batch_bytes),
        **retention,
        **(_FAST_COMPACTION if topic.compacts_fast else {}),
    }


def _check_partitions(desired: list[DesiredTopic], existing: dict[str, int]) -> None:
    for topic in desired:
        check_partitions(topic.name, existing.get(topic.name, topic.partitions), topic.partitions)


def _await_all(admin: AdminClient, desired: list[DesiredTopic]) -> dict[str, int]:
    """Wait until the topics are visible: a broker may not know a new topic yet."""
    deadline = time.monotonic() + VISIBLE_SECONDS
    while time.monotonic() < deadline:
        existing = _partition_counts(admin)
        missing = [topic.name for topic in desired if topic.name not in existing]
        if not missing:
            return existing
        time.sleep(_POLL_SECONDS)
    raise KafkaRefusedError(f"{', '.join(missing)} did not appear within {VISIBLE_SECONDS:g} s after creation")


def _partition_counts(admin: AdminClient) -> dict[str, int]:
    try:
        metadata = admin.list_topics(timeout=REQUEST_SECONDS)
    except KafkaException as error:
        raise KafkaRefusedError(f"the brokers did not answer: {error.args[0].str()}") from error
    # A topic without partitions is being created or deleted.
    return {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.partitions}


def _create(admin: AdminClient, missing: list[DesiredTopic], replication_factor: int) -> list[str]:
    if not missing:
        return []
    new = [NewTopic(topic.name, topic.partitions, replication_factor, config=topic.config) for topic in missing]
    futures = admin.create_topics(new, operation_timeout=REQUEST_SECONDS, request_timeout=REQUEST_SECONDS)
    return [name for name, future in futures.items() if _was_created(name, future)]


def _was_created(name: str, future: Future[None]) -> bool:
    try:
        future.result(2 * REQUEST_SECONDS)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise KafkaRefusedError(f"topic {name} could not be created: {error.args[0].str()}") from error
    return True


def _alter(admin: AdminClient, existing: list[DesiredTopic]) -> list[str]:
    if not existing:
        return []
    named = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in existing]
    described = admin.describe_configs(named, request_timeout=REQUEST_SECONDS)
    actual = {resource.name: _wait(future) for resource, future in described.items()}
    changes = {topic.name: _differences(topic, actual[topic.name]) for topic in existing}
    resources = [
        ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        for name, entries in changes.items()
        if entries
    ]
    if resources:
        for future in admin.incremental_alter_configs(resources, request_timeout=REQUEST_SECONDS).values():
            _wait(future)
    return [resource.name for resource in resources]


def _differences(topic: DesiredTopic, actual: dict[str, Any]) -> list[ConfigEntry]:
    return [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in topic.config.items()
        if name not in actual or actual[name].value != value
    ]


def _describe(admin: AdminClient, names: list[str]) -> dict[str, Future[Any]]:
    futures: dict[str, Future[Any]] = admin.describe_topics(TopicCollection(names), request_timeout=REQUEST_SECONDS)
    return futures


def _wait(future: Future[Any]) -> Any:
    try:
        return future.result(2 * REQUEST_SECONDS)  # the client's own time limit is shorter and has a better message
    except KafkaException as error:
        raise KafkaRefusedError(f"the brokers refused: {error.args[0].str()}") from error
    except TimeoutError as error:
        raise KafkaRefusedError(f"the brokers did not answer within {2 * REQUEST_SECONDS:g} s") from error
