"""Reads the deployment's settings from the topic `cluster`, and N from the topics.

Callers pass the client's module (`confluent_kafka`), because this package imports no I/O library.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import msgspec
import structlog

from schemas.cluster import RECORD_KEY, Cluster, DisagreementError, agreed, misshapen, overlaid, wrong_partitions
from schemas.codec import decode
from schemas.ends import reaches
from schemas.settings import Connections, InvalidSettingsError
from schemas.topics import CLUSTER, EXECUTORS, runs_topic
from schemas.unreadable import BatchUnknownError, extent, is_unreadable

log = structlog.get_logger()

ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.5
_TRIES = 10
_PASSING = frozenset({"NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PART"})
"""Temporary errors, right after a topic was created or while a partition's leader moves."""
_OPTIONS: dict[str, Any] = {
    "group_id": "tidemill-cluster",  # the client requires one; it never joins the group
    "enable_auto_commit": False,
    "enable_partition_eof": True,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
    "fetch_wait_max_ms": 20,
}
_QUIET = {"log_level": 2}
"""The client logs nothing: errors become exceptions here, or one log line."""


class Client(Protocol):
    """The part of the module `confluent_kafka` that this file uses."""

    @property
    def Consumer(self) -> Any: ...  # noqa: N802 - the client's name

    @property
    def TopicPartition(self) -> Any: ...  # noqa: N802 - as above

    @property
    def KafkaException(self) -> type[BaseException]: ...  # noqa: N802 - as above


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as the brokers have it."""

    cluster: Cluster | None
    """None: the topic has no record yet."""
    counts: dict[str, int]
    """The number of partitions of each topic, by its full name."""

    def partitions(self, connections: Connections, topic: str = EXECUTORS) -> int | None:
        """N; None: the topics do not exist yet."""
        return self.counts.get(connections.topic(topic))


def find(connections: Connections, client: Client) -> Found:
    """Raises the client's `KafkaException` if no broker answers, `BatchUnknownError` if one sends nothing.

    Also raises `InvalidSettingsError`, as `settle` does.
    """
    consumer = _consumer(connections, client)
    try:
        for _ in range(_TRIES):
            try:
                return _find(connections, consumer, client)
            except client.KafkaException as error:
                if error.args[0].name() not in _PASSING:
                    raise
                consumer.poll(_PAUSE_SECONDS)
        return _find(connections, consumer, client)
    finally:
        consumer.close()


def settle(
    connections: Connections, client: Client, topics: tuple[str, ...], *, with_runs: bool
) -> tuple[Connections, Cluster]:
    """The connections with N and the classes of the deployment, and its record. Waits while no broker answers.

    `topics` are the topics that the process uses; `with_runs` adds the runs topics of all classes. Raises
    `DisagreementError` if the environment, the record and these topics contradict each other.
    """
    consumer, is_said = _consumer(connections, client), False
    try:
        while True:
            try:
                return settled(connections, _find(connections, consumer, client), topics, with_runs=with_runs)
            except (client.KafkaException, BatchUnknownError) as error:
                if not is_said:
                    log.warning("kafka_unreachable", waits_for="the settings of the deployment", reason=str(error))
                is_said = True
                consumer.poll(_PAUSE_SECONDS)
    finally:
        consumer.close()


def settled(
    connections: Connections, found: Found, topics: tuple[str, ...], *, with_runs: bool
) -> tuple[Connections, Cluster]:
    """The result of `settle` for what the brokers have."""
    cluster, partitions = found.cluster, found.partitions(connections, topics[0])
    if cluster is None or partitions is None:
        raise DisagreementError(
            f"the topics {connections.topic(CLUSTER)} and {connections.topic(topics[0])} do not hold the settings of a "
            "deployment: run `tidemill migrate` first, or correct TIDEMILL_KAFKA_BOOTSTRAP or TIDEMILL_TOPIC_PREFIX"
        )
    runs = [runs_topic(each) for each in cluster.classes] if with_runs else []
    wanted = [connections.topic(name) for name in (*topics, *runs)]
    problem = wrong_partitions(connections, partitions) or misshapen(cluster, found.counts, wanted)
    if problem:
        raise DisagreementError(problem)
    return agreed(connections, cluster).model_copy(update={"partitions": partitions}), cluster


def of_deployment(connections: Connections, found: Found) -> Connections:
    """The connections with the deployment's values, which replace the environment's: for read-only commands."""
    known = overlaid(connections, found.cluster) if found.cluster else connections
    partitions = found.partitions(connections)
    return known.model_copy(update={"partitions": partitions}) if partitions else known


def _consumer(connections: Connections, client: Client) -> Any:
    """The process's first client, which shows whether all clients can use TIDEMILL_KAFKA_OPTIONS."""
    try:
        return client.Consumer(connections.kafka(**_OPTIONS) | _QUIET)
    except client.KafkaException as error:
        said = error.args[0].str().removeprefix("Failed to create consumer: ")
        raise InvalidSettingsError(f"TIDEMILL_KAFKA_OPTIONS cannot be used: {said}") from error


def _find(connections: Connections, consumer: Any, client: Client) -> Found:
    topics = consumer.list_topics(timeout=ANSWER_SECONDS).topics
    # A topic without partitions is being created or deleted.
    counts = {name: len(topic.partitions) for name, topic in topics.items() if topic.partitions}
    topic = connections.topic(CLUSTER)
    value = _last_value(consumer, client, topic) if topic in counts else None
    return Found(cluster=decode(value, Cluster) if value else None, counts=counts)


def _last_value(consumer: Any, client: Client, topic: str) -> bytes | None:
    at = partial(client.TopicPartition, topic, 0)
    value: bytes | None = None
    begin, end = consumer.get_watermark_offsets(at(0), ANSWER_SECONDS)
    if begin == end:
        return None
    consumer.assign([at(begin)])
    try:
        while (message := consumer.poll(ANSWER_SECONDS)) is not None:
            if is_unreadable(message):
                found = extent(consumer, message, at)
                log.warning("records_unreadable", reason=found.said_of(CLUSTER))
                consumer.assign([at(found.last + 1)])
                continue
            if message.error() is None and message.key() == RECORD_KEY:
                value = message.value()
            if reaches(message, end):
                return value
    finally:
        consumer.unassign()
    raise BatchUnknownError(f"topic {topic} could not be read to its end within {ANSWER_SECONDS} s")
