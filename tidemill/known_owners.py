"""What the streams know of jobs and DAGs, whatever Postgres says: from `state`, and from what of `cdc` is unread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec
from confluent_kafka.admin._listoffsets import EarliestSpec

from connectors.owner_clocks import Seen, latest_clocks
from schemas.codec import decode
from schemas.errors import UndecodableError
from schemas.settings import Connections
from schemas.topics import CDC, STATE
from schemas.words import DefinitionKind
from streams.owner.transaction_records import JOB_PREFIX
from tidemill.lag import admin_client, offsets, read_to_end


class Known(msgspec.Struct, frozen=True, kw_only=True):
    newest_version: int
    owners: dict[str, DefinitionKind]
    """Those that are not deleted."""


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Of `StoredJob`, what says which owner it is."""

    version: int
    deleted: bool
    dag: Any = None


class _Captured(msgspec.Struct, frozen=True, kw_only=True):
    """Of a row of `definitions`, as the connector writes it."""

    owner: str
    version: int
    deleted: bool
    kind: DefinitionKind


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """What `state` or `cdc` says of an owner."""

    owner: str
    number: int
    kind: DefinitionKind | None
    """None: it is deleted."""


def known_owners(place: Connections) -> Known:
    """Raises `BrokersError` and KafkaException."""
    clocks = latest_clocks(place)
    newest = max((each.clock.newest_version for each in clocks.values()), default=0)
    return known_by(newest, chain(_stored(place), _unread(place, clocks)))


def known_by(newest: int, versions: Iterable[Version]) -> Known:
    """What owners will know once they have read all of it: what is not newer changes nothing."""
    latest: dict[str, Version] = {}
    for each in versions:
        newest = max(newest, each.number)
        known = latest.get(each.owner)
        if known is None or known.number < each.number:
            latest[each.owner] = each
    owners = {owner: each.kind for owner, each in latest.items() if each.kind is not None}
    return Known(newest_version=newest, owners=owners)


def _stored(place: Connections) -> Iterator[Version]:
    """All that compaction has left. Only deletions are forgotten, so a tombstone says nothing new."""
    for message in read_to_end(place, _begins(place, STATE)):
        key = (message.key() or b"").decode()
        value = message.value()
        if not (key.startswith(JOB_PREFIX) and value):
            continue
        stored = decode(value, _Stored)
        kind = DefinitionKind.JOB if stored.dag is None else DefinitionKind.DAG
        yield Version(owner=key.removeprefix(JOB_PREFIX), number=stored.version, kind=None if stored.deleted else kind)


def _unread(place: Connections, clocks: dict[int, Seen]) -> Iterator[Version]:
    """What is captured and not yet applied."""
    begins = {
        (topic, number): max(begin, clocks[number].clock.applied_of(CDC) + 1 if number in clocks else begin)
        for (topic, number), begin in _begins(place, CDC).items()
    }
    for message in read_to_end(place, begins):
        try:
            row = decode(message.value() or b"", _Captured)
        except UndecodableError:
            continue  # a request, or what no owner will read either
        yield Version(owner=row.owner, number=row.version, kind=None if row.deleted else row.kind)


def _begins(place: Connections, topic: str) -> dict[tuple[str, int], int]:
    asked = [(place.topic(topic), number) for number in range(place.partitions)]
    return offsets(admin_client(place), asked, EarliestSpec())  # type: ignore[no-untyped-call]  # theirs
