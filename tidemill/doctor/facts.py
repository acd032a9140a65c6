"""What is known of a deployment at one moment: gathered by the `look_*` modules, judged by the `check_*` modules."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec
import psycopg
from confluent_kafka import KafkaException

from connectors.owned import Config
from connectors.plan import Actual
from connectors.settings import Ttls
from connectors.topics import DesiredTopic
from schemas.cluster import Cluster, Margins
from tidemill.retention import Retention


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """A part that did not answer, or refused to."""

    reason: str
    """One line."""


def silent(error: Exception) -> Silent:
    """Why, as the clients of Postgres, Kafka and ours say it: on one line, without where in a statement it was."""
    match error:
        case psycopg.Error() if error.diag.message_primary:
            said = error.diag.message_primary
        case KafkaException():
            said = str(error.args[0].str())
        case TimeoutError():
            said = "no answer in time"
        case _:
            said = str(error)
    return Silent(reason=" ".join(said.split()))


class Offset(msgspec.Struct, frozen=True, kw_only=True):
    """How far another clock is ahead of this machine's, in seconds: between `low` and `high`."""

    low: float
    high: float


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    tables: frozenset[str]
    inserts: bool
    updates: bool


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    plugin: str
    database: str
    active: bool
    wal_status: str
    behind_bytes: int
    """WAL that Postgres keeps for it."""
    safe_bytes: int | None
    """So much more may be written before the slot can be lost; None: there is no limit."""


class Migrations(msgspec.Struct, frozen=True, kw_only=True):
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    newer: str | None = None
    """What is true, if a newer release has migrated the database."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables hold that the sink writes, and what is written beside them."""

    now: datetime
    total_bytes: int
    problems: int
    """Rows of `tidemill.problems` of the last day."""
    unreadable: str | None
    """What no client could read of them, in sentences."""
    heartbeat_age: timedelta
    """Since the connector's heartbeat query moved its row."""
    retention: Retention


class Postgres(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    """As `server_version_num`: 180004."""
    database: str
    role: str
    is_replica: bool
    is_shared: bool
    """Through a pooler in transaction mode (`connectors.sessions`)."""
    settings: dict[str, str]
    replication_slots: int
    """In use, ours among them."""
    may_replicate: bool
    missing_rights: tuple[str, ...]
    """Such as `insert on tidemill.requests`, of tables that are there."""
    migrations: Migrations | None
    """None: this role may not read which."""
    publication: Publication | None
    slot_name: str
    slot: Slot | None
    history: History | None
    """None before the tables are made, or if this role may not read them."""
    ttls: Ttls
    clock: Offset
    timeout_classes: tuple[str, ...] | None = None
    """Those that jobs may name; None before the tables are made."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the database comes from a backup: it gives versions that the streams have read before."""

    noticed_at: datetime | None
    """By a sink."""
    given: int
    """Asked for after `applied`, for both grow."""
    applied: int


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    settings: dict[str, str]
    """Empty: the brokers do not tell."""


class FoundTopic(msgspec.Struct, frozen=True, kw_only=True):
    partitions: int
    config: dict[str, str]
    replicas: int
    """The fewest of any partition."""
    in_sync: int
    """The fewest of any partition."""
    leaderless: tuple[int, ...] = ()


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    desired: DesiredTopic
    found: FoundTopic | None


class Kafka(msgspec.Struct, frozen=True, kw_only=True):
    cluster_id: str
    brokers: tuple[Broker, ...]
    consumer_protocol: int | None
    """The highest version of ConsumerGroupHeartbeat that a broker speaks; None: it does not."""
    topics: tuple[Topic, ...]
    replication_factor: int
    """The setting."""
    session_timeout: timedelta
    """The setting of the stream workers."""
    clocks: dict[int, Offset]
    """By broker; without those that did not answer in time."""
    write_refused: str | None = None

    @property
    def clock(self) -> Offset | None:
        """The middle one."""
        ordered = sorted(self.clocks.values(), key=lambda each: each.low)
        return ordered[len(ordered) // 2] if ordered else None


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    cluster_id: str
    """Of the Kafka that it works for."""
    debezium: str | None
    """The version of its Postgres connector; None: Connect does not know it."""
    connector: Actual | None
    desired: Config


class S3(msgspec.Struct, frozen=True, kw_only=True):
    where: str
    bucket: str
    refused: str | None = None
    """What was refused of writing, reading and deleting an object, and why."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the record in Kafka says, and who contradicts it."""

    cluster: Cluster | None
    """None: there is no record."""
    contradictions: tuple[str, ...]
    """Of the environment of this command: a sentence each."""


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    group: str
    state: str
    """Of the consumer group, in lower case: stable, empty, dead, …"""
    held: dict[int, str]
    """The worker of each partition that has one."""
    partitions: int
    quiet: dict[int, timedelta | None]
    """By partition: since its owner's clock was last written; None: it never was."""
    decided_ahead: dict[int, timedelta]
    """By partition, where it is so: how far the time up to which schedules are decided is ahead of the brokers'."""
    newest_version: int = 0
    """The highest version of a definition that any owner has read."""
    behind: dict[int, str] = {}
    """By partition, where it is so: the worker that goes by older settings than the record's."""


class Executor(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: str
    """`running`, `draining` or `silent`."""
    version: str
    slots: dict[str, int]
    free: dict[str, int]
    settings_version: int = 0
    shares_its_name: bool = False


class Executors(msgspec.Struct, frozen=True, kw_only=True):
    classes: tuple[str, ...]
    executors: tuple[Executor, ...]
    held: dict[str, frozenset[int]]
    """By class: the partitions of its runs topic that the members of its group hold."""
    partitions: dict[str, int]
    """By class: how many there are."""
    margins: tuple[Margins, ...] = ()


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """How far behind somebody is who reads a topic."""

    name: str
    waiting: int
    oldest_age: timedelta | None
    """Since the oldest record that waits was written."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process of a local stack."""

    name: str
    state: str
    log: str


Readers: TypeAlias = tuple[Reader, ...]
Processes: TypeAlias = tuple[Process, ...]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """None: not looked at, because of a part that did not answer; that one is `Silent`."""

    processes: Processes
    """Empty unless it is a stack of this machine."""
    postgres: Postgres | Silent
    kafka: Kafka | Silent
    connect: Connect | Silent
    s3: S3
    streams: Streams | Silent | None
    executors: Executors | Silent | None
    readers: Readers | Silent | None
    settings: Settings | Silent | None = None
    restored: Restored | None = None
