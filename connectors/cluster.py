"""Creates and changes the settings and topics that all processes share, in a safe order (decision 33)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import confluent_kafka
import msgspec
import psycopg
from confluent_kafka import KafkaError, KafkaException, Producer

from connectors import topics
from connectors.offsets import BROKER_LEFT
from connectors.statements import sql
from connectors.topics import KafkaRefusedError
from schemas.cluster import RECORD_KEY, Cluster, agreed, check_values, normal, wrong_partitions
from schemas.cluster_record import Found, find
from schemas.codec import encode
from schemas.errors import TidemillError
from schemas.settings import AgreedSettings, Connections
from schemas.topics import CLUSTER, TopicMismatchError
from schemas.unreadable import BatchUnknownError

WRITE_SECONDS = 10.0
LOCK_SECONDS = 60.0
LOCK_KEY = 0x71DE_0133
"""The advisory lock of `change`: a second change at the same time then reads what the first one has written."""


class ClassInUseError(TidemillError):
    """Jobs use a timeout class that the change would remove."""


class ChangedElsewhereError(TidemillError):
    """Another command is changing the record now."""


class Established(msgspec.Struct, frozen=True, kw_only=True):
    connections: Connections
    cluster: Cluster
    made: list[str]
    """The topics that were created or altered."""


def look(connections: Connections) -> Found:
    """Raises `KafkaRefusedError`."""
    try:
        return _asked_twice(connections)
    except KafkaException as error:
        raise KafkaRefusedError(f"the brokers did not answer: {error.args[0].str()}") from error
    except BatchUnknownError as error:
        raise KafkaRefusedError(str(error)) from error


def _asked_twice(connections: Connections) -> Found:
    """Ask again if the broker that was asked leaves meanwhile."""
    try:
        return find(connections, confluent_kafka)
    except KafkaException as error:
        if error.args[0].code() != BROKER_LEFT:
            raise
        return find(connections, confluent_kafka)


def establish(connections: Connections, settings: AgreedSettings) -> Established:
    """Create the record and the topics if they are missing, from the environment; otherwise use the record.

    Raises `DisagreementError` if a variable contradicts the record.
    """
    found = look(connections)
    partitions = found.partitions(connections)
    if partitions is not None:
        if problem := wrong_partitions(connections, partitions):
            raise TopicMismatchError(problem)
        connections = connections.model_copy(update={"partitions": partitions})
    cluster = found.cluster
    if cluster is None:
        cluster = first_record(connections, settings)
        check_values(cluster)
    else:
        agreed(settings, cluster)
        connections = agreed(connections, cluster)
    made = topics.create(connections)
    if found.cluster is None:
        write(connections, cluster)
    return Established(connections=connections, cluster=cluster, made=made)


def first_record(connections: Connections, settings: AgreedSettings) -> Cluster:
    """The record from the environment, if there is none yet."""
    values = {**connections.model_dump(), **settings.model_dump()}
    return Cluster(**{name: normal(name, values[name]) for name in Cluster().values})


def change(
    connections: Connections, values: Mapping[str, Any], check: Callable[[Cluster], None]
) -> tuple[Cluster, Cluster]:
    """Change the record; returns it before and after.

    First Postgres refuses removed classes that jobs use, then the topics of new classes are created, then the record is
    written. `check` raises if running processes contradict the change. Raises `ClassInUseError`, `DisagreementError`,
    `ChangedElsewhereError`.
    """
    with _locked(connections.postgres_dsn):
        return _change(connections, values, check)


@contextmanager
def _locked(dsn: str) -> Iterator[None]:
    """Only one change at a time."""
    timeout = f"-c lock_timeout={int(LOCK_SECONDS * 1000)}"
    with psycopg.connect(dsn, autocommit=True, application_name="tidemill-cluster", options=timeout) as postgres:
        try:
            postgres.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
        except psycopg.errors.LockNotAvailable as error:
            raise ChangedElsewhereError(
                f"another `tidemill cluster set` has not ended within {LOCK_SECONDS:g} s: nothing is changed; try again"
            ) from error
        yield


def _change(
    connections: Connections, values: Mapping[str, Any], check: Callable[[Cluster], None]
) -> tuple[Cluster, Cluster]:
    before = look(connections).cluster
    if before is None:
        raise KafkaRefusedError("there is no record to change: run `tidemill migrate` first")
    after = msgspec.structs.replace(before, **{name: normal(name, value) for name, value in values.items()})
    if after == before:
        return before, before
    after = msgspec.structs.replace(after, version=before.version + 1)
    check_values(after)
    check(after)
    kept = [name for name in before.classes if name in after.classes]
    if len(kept) < len(before.classes):
        allow_classes(connections.postgres_dsn, kept)
    topics.create(connections.model_copy(update={"timeout_classes": after.timeout_classes}))
    write(connections, after)
    return before, after


def open_to_jobs(connections: Connections, cluster: Cluster) -> None:
    """Let jobs use the classes of `cluster`, unless another change has replaced it. Raises `ClassInUseError`."""
    with _locked(connections.postgres_dsn):
        if look(connections).cluster == cluster:
            allow_classes(connections.postgres_dsn, list(cluster.classes))


def allow_classes(dsn: str, names: list[str]) -> None:
    """From now on jobs may use only these classes. Raises `ClassInUseError`."""
    try:
        with psycopg.connect(dsn, application_name="tidemill-cluster") as postgres:
            postgres.execute(sql("allow_classes"), {"names": names})
    except psycopg.errors.CheckViolation as error:
        raise ClassInUseError(error.diag.message_primary or str(error)) from error


def write(connections: Connections, cluster: Cluster) -> None:
    """Raises `KafkaRefusedError`."""
    results: list[KafkaError | None] = []
    producer = Producer(connections.kafka(acks="all", message_timeout_ms=int(WRITE_SECONDS * 1000)))
    topic, value = connections.topic(CLUSTER), encode(cluster)
    producer.produce(topic, value, RECORD_KEY, partition=0, on_delivery=lambda error, _: results.append(error))
    producer.flush(2 * WRITE_SECONDS)
    if not results or results[0] is not None:
        reason = str(results[0].str()) if results and results[0] else "no acknowledgement in time"
        raise KafkaRefusedError(f"the record of the settings could not be written: {reason}")
