"""Counts the records that wait for each reader: the sink, the streams, and the executors of each class."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from connectors.offsets import offset_range
from schemas.classes import parse_classes
from schemas.ends import is_end_of_file, reaches
from schemas.errors import TidemillError
from schemas.settings import Connections, read
from schemas.times import from_epoch_ms
from schemas.topics import STATUS, executor_group, runs_topic
from schemas.unreadable import extent, is_unreadable
from streams.group_client import GroupsUnreachableError, ask, committed
from streams.owner.intake import INPUT_TOPICS
from streams.settings import StreamSettings
from tidemill.queries import rows
from tidemill.target import connect_to_read

KAFKA_SECONDS = 10.0
CLIENT = "tidemill-cli"
"""The name of our clients at the brokers."""
COUNTED = 1_000
"""Up to this number, waiting records are read and counted: offsets also count transaction markers."""
MOST_READ = 10_000
"""As many are read at most to find the oldest record of each partition."""
SINK = "sink"

T = TypeVar("T")
Partition = tuple[str, int]
"""A topic and a partition."""
Offsets = dict[Partition, int]
Topics = Mapping[str, Any]
"""The brokers' metadata by topic."""


class BrokersError(TidemillError):
    """The brokers do not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A reader, its topics, and the next offset of each partition that it has read from."""

    name: str
    topics: tuple[str, ...]
    positions: Offsets


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    records: int
    since: datetime | None
    """When the oldest of the counted records was appended; None: no record waits."""


def lags(target: Connections) -> dict[str, int]:
    """The number of waiting records by reader. Raises what `waiting_records` raises."""
    return {name: each.records for name, each in waiting_records(target).items()}


ACCESS_SECONDS = 2.0
_ACCESS_CODES = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001 - its codes are named so


def waiting_records(target: Connections, admin: AdminClient | None = None) -> dict[str, Waiting]:
    """The waiting records by reader. Raises `BrokersError`, and psycopg's errors for the sink's offsets."""
    return _asked(target, admin, lambda there: [_sink(target), *_groups(target, there)])


def sink_waits_since(target: Connections) -> datetime | None:
    """When the oldest record was appended that is not in the read model yet; None: no record waits. Raises as above."""
    return _asked(target, None, lambda _: [_sink(target)])[SINK].since


def _asked(
    target: Connections, admin: AdminClient | None, read_positions: Callable[[Topics], list[Reader]]
) -> dict[str, Waiting]:
    admin = admin or admin_client(target)
    try:
        there = admin.list_topics(timeout=KAFKA_SECONDS).topics
        readers = read_positions(there)
        partitions = [each for reader in readers for each in _partitions(there, reader.topics)]
        begins, ends = offsets(target, partitions, OFFSET_BEGINNING), offsets(target, partitions, OFFSET_END)
        return {reader.name: _waiting(target, reader, begins, ends) for reader in readers}
    except (KafkaException, TimeoutError) as error:
        raise unavailable(target, error) from error


def quiet_options(target: Connections, **options: Any) -> dict[str, Any]:
    """The options of a client that writes no log of its own."""
    return target.kafka(**options) | {"log_level": 0, "socket.timeout.ms": int(KAFKA_SECONDS * 1000)}


def admin_client(target: Connections) -> AdminClient:
    """Make the first client of a command. Raises `BrokersError` if the options are invalid."""
    try:
        return AdminClient(quiet_options(target))
    except (KafkaException, TypeError, ValueError) as error:
        said = error.args[0].str() if isinstance(error, KafkaException) else error
        raise BrokersError(f"TIDEMILL_KAFKA_BOOTSTRAP or _OPTIONS cannot be used: {said}") from error


def ask_groups(target: Connections, question: Callable[[Any], Awaitable[T]]) -> T:
    """Ask a question of `streams.group_client`. Raises `BrokersError`."""
    try:
        return ask(target, CLIENT, question, KAFKA_SECONDS)
    except GroupsUnreachableError as error:
        raise unavailable(target, error) from error


def unavailable(target: Connections, error: KafkaException | GroupsUnreachableError | TimeoutError) -> BrokersError:
    said = error.args[0].str() if isinstance(error, KafkaException) else str(error) or "no answer in time"
    return BrokersError(f"Kafka at {target.kafka_bootstrap}: {access_error(target) or said}")


def access_error(target: Connections) -> str | None:
    """Why the brokers refuse this client (TLS or authentication); other requests only time out."""
    errors: list[KafkaError] = []
    admin = AdminClient(quiet_options(target, error_cb=errors.append))
    with suppress(KafkaException):
        admin.list_topics(timeout=ACCESS_SECONDS)
    admin.poll(0)
    return next((each.str() for each in errors if each.code() in _ACCESS_CODES), None)


def _sink(target: Connections) -> Reader:
    topic = target.topic(STATUS)
    with connect_to_read(target) as postgres:
        found = rows(postgres, "sink_offsets", {"topic": topic})
    return Reader(
        name=SINK, topics=(topic,), positions={(topic, each["partition"]): each["next_offset"] for each in found}
    )


def _partitions(there: Topics, topics: Iterable[str]) -> list[Partition]:
    return [(topic, number) for topic in topics if topic in there for number in there[topic].partitions]


def _groups(target: Connections, there: Topics) -> Iterator[Reader]:
    """The stream workers, and the executors of each class."""
    groups = {"streams": read(StreamSettings).stream_group}
    topics = {"streams": tuple(target.topic(each) for each in INPUT_TOPICS)}
    for each in parse_classes(target.timeout_classes):
        name = f"executors.{each.name}"
        groups[name] = executor_group(target.topic_prefix, each.name)
        topics[name] = (target.topic(runs_topic(each.name)),)

    async def question(admin: Any) -> dict[str, Offsets]:
        return {name: await committed(admin, group, _partitions(there, topics[name])) for name, group in groups.items()}

    for name, positions in ask_groups(target, question).items():
        yield Reader(name=name, topics=topics[name], positions=positions)


def offsets(target: Connections, partitions: Iterable[Partition], when: int) -> Offsets:
    """`when`: `OFFSET_BEGINNING`, `OFFSET_END` (without open transactions), or milliseconds since the epoch, for the
    first offset after that time; without such a record it is negative. Raises `KafkaException`.

    A consumer asks, since it sees the end below an open transaction.
    """
    asked = [TopicPartition(topic, number, when) for topic, number in partitions]
    if not asked:
        return {}
    with closing(_consumer(target)) as consumer:
        found = consumer.offsets_for_times(asked, KAFKA_SECONDS)
    for each in found:
        if each.error is not None:
            raise KafkaException(each.error)
    return {(each.topic, each.partition): each.offset for each in found}


def _waiting(target: Connections, reader: Reader, begins: Offsets, ends: Offsets) -> Waiting:
    behind = {
        each: max(begins[each], reader.positions.get(each, 0))
        for each, end in ends.items()
        if each[0] in reader.topics and reader.positions.get(each, 0) < end
    }
    at_most = sum(ends[each] - position for each, position in behind.items())
    appended: list[int] = []
    unseen = set(behind)
    with closing(read_to_end(target, behind)) as waiting:
        for message in islice(waiting, MOST_READ):
            appended.append(message.timestamp()[1])
            unseen.discard((message.topic(), message.partition()))
            if len(appended) >= COUNTED and not unseen:
                break
    return Waiting(
        records=at_most if at_most > COUNTED else len(appended),
        since=from_epoch_ms(min(appended)) if appended else None,
    )


def read_to_end(target: Connections, begin: Offsets) -> Generator[Any, None, None]:
    """The committed messages from these offsets to the current ends."""
    if not begin:
        return
    consumer = _consumer(target)
    try:
        ends = {where: offset_range(consumer, TopicPartition(*where))[1] for where in begin}
        unfinished = {where: end for where, end in ends.items() if begin[where] < end}
        consumer.assign([TopicPartition(*where, begin[where]) for where in unfinished])
        while unfinished:
            message = consumer.poll(KAFKA_SECONDS)
            if message is None:
                raise BrokersError(f"Kafka at {target.kafka_bootstrap} did not answer within {KAFKA_SECONDS:g} s")
            error, where = message.error(), (str(message.topic()), int(message.partition() or 0))
            if error is None:
                yield message
            elif is_unreadable(message):
                _skip_unreadable(target, consumer, message, where)
            elif not is_end_of_file(message):
                raise BrokersError(f"Kafka at {target.kafka_bootstrap}: {error.str()}")
            if reaches(message, unfinished.get(where, math.inf)):
                unfinished.pop(where, None)
    finally:
        consumer.close()


def _consumer(target: Connections) -> Consumer:
    return Consumer(
        quiet_options(target, group_id=CLIENT, enable_auto_commit=False, enable_partition_eof=True)
        # At the end of a partition, the broker would wait for new records.
        | {"isolation.level": "read_committed", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 20}
    )


def _skip_unreadable(target: Connections, consumer: Consumer, message: Any, where: Partition) -> None:
    """Seek past unreadable records. If they are the last ones, the end-of-partition event follows."""
    with closing(_consumer(target)) as reader:
        found = extent(reader, message, partial(TopicPartition, *where))
    consumer.seek(TopicPartition(*where, found.last + 1))
