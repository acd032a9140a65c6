"""Reads from the topic `state` which version of each job and DAG the streams hold."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from typing import Any

import msgspec
from confluent_kafka import Message, TopicPartition

from connectors.offsets import offset_range
from connectors.owner_clocks import read_between, reader_of
from schemas.codec import decode
from schemas.settings import Connections
from schemas.topics import STATE
from schemas.words import DefinitionKind

JOB_PREFIX, QUARANTINE_PREFIX = "def/", "quarantine/"
"""Keys of `state` (`streams.owner.transaction_records`)."""


class StoredDefinition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields of `streams.core.stored.StoredJob` that are compared."""

    version: int
    deleted: bool
    dag: Any = None


class ChangeRead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields of `StoredChange` that are compared."""

    version: int
    deleted: bool
    kind: DefinitionKind


class QuarantineRead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The field of `StoredQuarantine` that is compared."""

    change: ChangeRead | None = None


class HeldDefinitions:
    """The versions by owner. A second `read` goes on where the first one ended."""

    def __init__(self) -> None:
        self._applied: dict[str, ChangeRead] = {}
        self._waiting: dict[str, ChangeRead] = {}
        """Newer versions of quarantined jobs and DAGs: they are read, and not applied."""
        self._next: dict[int, int] = {}

    def read(self, connections: Connections) -> None:
        """Read `state` to its end. Raises `StateUnreadableError`, `NoOffsetsError` and `KafkaException`."""
        topic, open_reader = connections.topic(STATE), reader_of(connections)
        with closing(open_reader()) as consumer:
            begins, ends = {}, {}
            for number in range(connections.partitions):
                first, ends[number] = offset_range(consumer, TopicPartition(topic, number))
                begin = max(first, self._next.get(number, first))
                if begin < ends[number]:
                    begins[number] = begin
            for message in read_between(consumer, open_reader, topic, begins, ends):
                self._take(message)
            self._next = ends

    def version(self, owner: str) -> ChangeRead | None:
        """The newest version that is held; None: the owner is unknown or deleted."""
        applied, waiting = self._applied.get(owner), self._waiting.get(owner)
        newest = waiting if waiting and (applied is None or waiting.version > applied.version) else applied
        return None if newest is None or newest.deleted else newest

    def owners(self) -> Collection[str]:
        return self._applied.keys() | self._waiting.keys()

    def keep_only(self, owners: Collection[str]) -> None:
        """Forget the others: a million definitions take some hundred megabytes."""
        self._applied = {owner: each for owner, each in self._applied.items() if owner in owners}
        self._waiting = {owner: each for owner, each in self._waiting.items() if owner in owners}

    def _take(self, message: Message) -> None:
        key, value = (message.key() or b"").decode(), message.value()
        if key.startswith(JOB_PREFIX):
            owner = key.removeprefix(JOB_PREFIX)
            self._put(self._applied, owner, None if value is None else _applied(decode(value, StoredDefinition)))
        elif key.startswith(QUARANTINE_PREFIX):
            owner = key.removeprefix(QUARANTINE_PREFIX)
            self._put(self._waiting, owner, None if value is None else decode(value, QuarantineRead).change)

    @staticmethod
    def _put(versions: dict[str, ChangeRead], owner: str, found: ChangeRead | None) -> None:
        if found is None:
            versions.pop(owner, None)
        else:
            versions[owner] = found


def _applied(stored: StoredDefinition) -> ChangeRead:
    kind = DefinitionKind.JOB if stored.dag is None else DefinitionKind.DAG
    return ChangeRead(version=stored.version, deleted=stored.deleted, kind=kind)
