"""The facts about a deployment at one moment: the `look_*` modules gather them, the `check_*` modules judge them."""

from __future__ import annotations

from collections.abc import Mapping
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
    """A part that did not answer, or refused the request."""

    reason: str
    """One line."""


def silent(error: Exception) -> Silent:
    """The client's error message on one line, without the position in a statement."""
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
    """How far another clock is ahead of this machine's: between `low` and `high` seconds."""

    low: float
    high: float


def apart(one: Offset, other: Offset) -> float:
    """The seconds that two clocks surely differ by; 0 if they may agree."""
    return max(one.low - other.high, other.low - one.high, 0.0)


def median(clocks: Mapping[int, Offset]) -> Offset | None:
    ordered = sorted(clocks.values(), key=lambda each: each.low)
    return ordered[len(ordered) // 2] if ordered else None


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
    """WAL that Postgres keeps for the slot."""
    safe_bytes: int | None
    """Bytes that may still be written before the slot can be lost; None: no limit."""
    failover: bool = False
    """Whether standbys copy it."""


class Migrations(msgspec.Struct, frozen=True, kw_only=True):
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    newer: str | None = None
    """A sentence about it, if a newer release has migrated the database."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the tables that the sink writes, and of the connector's heartbeat."""

    now: datetime
    total_bytes: int
    problems: int
    """Rows of `tidemill.problems` of the last day."""
    unreadable: str | None
    """Sentences about records that no client could read."""
    heartbeat_age: timedelta
    """The age of the row that the connector's heartbeat query updates."""
    retention: Retention


class Postgres(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    """`server_version_num`, such as 180004."""
    database: str
    role: str
    is_replica: bool
    is_shared: bool
    """Through a pooler in transaction mode (`connectors.sessions`)."""
    settings: dict[str, str]
    replication_slots: int
    """The number in use, including Debezium's."""
    may_replicate: bool
    hosts: int = 1
    """How many hosts TIDEMILL_POSTGRES_DSN names: a primary and its standbys."""
    missing_rights: tuple[str, ...]
    """Such as `select on tidemill.runs`, or `insert on tidemill.runs of tidemill_sink`; only on tables that exist."""
    migrations: Migrations | None
    """None: this role may not read them."""
    publication: Publication | None
    slot_name: str
    slot: Slot | None
    history: History | None
    """None before the tables are made, or if this role may not read them."""
    ttls: Ttls
    clock: Offset
    timeout_classes: tuple[str, ...] | None = None
    """The classes that jobs may name; None before the tables are made."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """How Postgres compares with the streams. A restored database gives versions that the streams have read before."""

    noticed_at: datetime | None
    """When a sink noticed it."""
    given: int
    """The last version that the database gave; read after `applied`, because both grow."""
    applied: int
    now: datetime
    """By Postgres' clock."""
    compared_at: datetime
    """When a sink last compared the definitions in Postgres with those that the streams hold."""
    differing: int = 0
    differing_since: datetime | None = None
    refusal: str | None = None
    """Why the sinks do not heal the difference."""


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    settings: dict[str, str]
    """Empty: this user may not read them."""


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
    """The highest version of ConsumerGroupHeartbeat that a broker supports; None: not supported."""
    topics: tuple[Topic, ...]
    replication_factor: int
    """The setting, not the topics' real number of replicas."""
    session_timeout: timedelta
    """The stream workers' setting."""
    clocks: dict[int, Offset]
    """By broker, without brokers that did not answer in time."""
    write_refused: str | None = None

    @property
    def clock(self) -> Offset | None:
        return median(self.clocks)


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    cluster_id: str
    """The Kafka cluster that Connect uses."""
    debezium: str | None
    """The version of its Postgres connector; None: Connect has none."""
    connector: Actual | None
    desired: Config


class S3(msgspec.Struct, frozen=True, kw_only=True):
    where: str
    bucket: str
    refused: str | None = None
    """Why an object could not be written, read or deleted."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The record of the shared settings in Kafka, and where the environment contradicts it."""

    cluster: Cluster | None
    """None: there is no record."""
    contradictions: tuple[str, ...]
    """One sentence for each contradiction in the environment of this command."""


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    group: str
    state: str
    """The consumer group's state: stable, empty, dead, preparing rebalance, completing rebalance."""
    held: dict[int, str]
    """The worker of each partition that has one."""
    partitions: int
    quiet: dict[int, timedelta | None]
    """By partition: the time since its owner's clock was last written; None: never."""
    decided_ahead: dict[int, timedelta]
    """By partition, if ahead: how far the time up to which schedules are decided is ahead of the brokers' time."""
    newest_version: int = 0
    """The highest version of a definition that any owner has read."""
    behind: dict[int, str] = {}
    """By partition, if behind: the worker that uses older settings than the record's."""


class Executor(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: str
    """`running`, `ill`, `draining` or `silent`."""
    version: str
    slots: dict[str, int]
    free: dict[str, int]
    settings_version: int = 0
    shares_its_name: bool = False
    ill: str | None = None
    """Why it could start no process."""
    gives: str = ""
    """What it can give to attempts, in words."""
    is_confining: bool = True
    """Jobs that ask for no sandbox run in one."""
    lacks: tuple[str, ...] = ()
    """Sentences: what it cannot give, and why."""


class Executors(msgspec.Struct, frozen=True, kw_only=True):
    classes: tuple[str, ...]
    executors: tuple[Executor, ...]
    held: dict[str, frozenset[int]]
    """By class: the partitions of its runs topic that the members of its group hold."""
    partitions: dict[str, int]
    """By class: the number of partitions of its runs topic."""
    margins: tuple[Margins, ...] = ()


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """The lag of one reader of topics."""

    name: str
    waiting: int
    oldest_age: timedelta | None
    """The age of the oldest record that waits."""


class Overdue(msgspec.Struct, frozen=True, kw_only=True):
    after: timedelta
    names: tuple[str, ...]
    """The overdue jobs and DAGs, the longest overdue first."""
    unmet: tuple[tuple[str, str], ...] = ()
    """Runs that wait for an executor that can run them, each with its reason; the first ones."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process of a local stack."""

    name: str
    state: str
    log: str


Readers: TypeAlias = tuple[Reader, ...]
Processes: TypeAlias = tuple[Process, ...]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`Silent`: the part did not answer. None: not looked at, because another part did not answer."""

    processes: Processes
    """Empty if the deployment is not a local stack."""
    postgres: Postgres | Silent
    kafka: Kafka | Silent
    connect: Connect | Silent
    s3: S3
    streams: Streams | Silent | None
    executors: Executors | Silent | None
    readers: Readers | Silent | None
    settings: Settings | Silent | None = None
    restored: Restored | None = None
    overdue: Overdue | Silent | None = None
