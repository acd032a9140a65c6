"""All topics of Tidemill in one table; they are created from it before the connector starts."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

import msgspec

from schemas.errors import TidemillError

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""The largest record on every topic (protocol I7)."""
MAX_REQUEST_BYTES = 1_000_000
"""The largest record in `requests`, as producers allow by default. An escaped payload of 256 KB fits."""


class Cleanup(Enum):
    DELETE = "delete"
    COMPACT = "compact"
    COMPACT_DELETE = "compact,delete"


class TopicMismatchError(TidemillError):
    """A topic exists, but without the properties that Tidemill needs."""


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as Tidemill creates it. `name` has no prefix; every topic has N partitions."""

    name: str
    cleanup: Cleanup
    retention: timedelta | None
    """None: records are not deleted by age."""
    compacts_fast: bool = False
    """Recovery reads the topic to its end: small segments, a low dirty ratio and a bounded lag (protocol O1)."""
    max_batch_bytes: int = MAX_RECORD_BYTES
    """The largest batch that the broker accepts, as it is sent."""


_WEEK = timedelta(days=7)

CDC = "cdc"
REQUESTS = "requests"
EVENTS = "events"
STATUS = "status"
STATE = "state"
EXECUTORS = "executors"
CONTROL = "control"
DEADLETTER = "deadletter"
CLUSTER = "cluster"
"""One partition, compacted: the settings that every process shares (`schemas.cluster`)."""

_FIXED = (
    Topic(name=CDC, cleanup=Cleanup.DELETE, retention=_WEEK),
    # The broker's default; the largest request fits, also with the envelope of a forwarded one.
    Topic(name=REQUESTS, cleanup=Cleanup.DELETE, retention=_WEEK, max_batch_bytes=1024 * 1024),
    Topic(name=EVENTS, cleanup=Cleanup.DELETE, retention=_WEEK),
    Topic(name=STATUS, cleanup=Cleanup.COMPACT_DELETE, retention=timedelta(days=30)),
    Topic(name=STATE, cleanup=Cleanup.COMPACT, retention=None, compacts_fast=True),
    Topic(name=EXECUTORS, cleanup=Cleanup.COMPACT_DELETE, retention=timedelta(days=1), compacts_fast=True),
    Topic(name=CONTROL, cleanup=Cleanup.DELETE, retention=timedelta(days=1)),
    Topic(name=DEADLETTER, cleanup=Cleanup.DELETE, retention=timedelta(days=30)),
)


STREAM_TOPICS = tuple(each.name for each in _FIXED)
EXECUTOR_TOPICS = (EXECUTORS, EVENTS, CONTROL)
SINK_TOPICS = (STATUS, DEADLETTER)
"""The topics that each kind of process uses, besides the runs topics."""


def check_partitions(topic: str, found: int, wanted: int) -> None:
    """Raises `TopicMismatchError` (protocol O2)."""
    if found != wanted:
        raise TopicMismatchError(
            f"topic {topic} has {found} partitions, and TIDEMILL_PARTITIONS is {wanted}: the number cannot "
            "change later, because it decides which owner has which job"
        )


def runs_topic(timeout_class: str) -> str:
    """The topic in which runs of a timeout class wait for an executor."""
    return f"runs.{timeout_class}"


def executor_group(prefix: str, timeout_class: str) -> str:
    """The consumer group of the executors of a class; its committed offsets are the claims (protocol D3)."""
    return f"{prefix}executors.{timeout_class}"


def control_group(prefix: str) -> str:
    """The group name that the client of a `control` reader requires; it never joins the group."""
    return f"{prefix}executors"


def all_topics(timeout_classes: tuple[str, ...]) -> tuple[Topic, ...]:
    runs = (Topic(name=runs_topic(name), cleanup=Cleanup.DELETE, retention=_WEEK) for name in timeout_classes)
    return (*_FIXED, *runs)
