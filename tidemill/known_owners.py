"""Reads which jobs and DAGs the streams know: from the topic `state`, and from unread records of `cdc`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec
from confluent_kafka import OFFSET_BEGINNING

from connectors.held_definitions import StoredDefinition
from connectors.owner_clocks import Seen, latest_clocks
from schemas.codec import decode
from schemas.errors import UndecodableError
from schemas.settings import Connections
from schemas.topics import CDC, STATE
from schemas.words import DefinitionKind
from streams.owner.transaction_records import JOB_PREFIX
from tidemill.lag import offsets, read_to_end


class Known(msgspec.Struct, frozen=True, kw_only=True):
    newest_version: int
    owners: dict[str, DefinitionKind]
    """Without deleted ones."""


class _Captured(msgspec.Struct, frozen=True, kw_only=True):
    """The needed columns of a row of `definitions`, as the connector writes it."""

    owner: str
    version: int
    deleted: bool
    kind: DefinitionKind


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """An owner's version in `state` or `cdc`."""

    owner: str
    number: int
    kind: DefinitionKind | None
    """None: the owner is deleted."""


def known_owners(target: Connections) -> Known:
    """Raises `BrokersError` and KafkaException."""
    clocks = latest_clocks(target)
    newest = max((each.clock.newest_version for each in clocks.values()), default=0)
    return known_by(newest, chain(_stored(target), _unread(target, clocks)))


def known_by(newest: int, versions: Iterable[Version]) -> Known:
    """What the streams will know after they have read all versions; an older version changes nothing."""
    latest: dict[str, Version] = {}
    for each in versions:
        newest = max(newest, each.number)
        known = latest.get(each.owner)
        if known is None or known.number < each.number:
            latest[each.owner] = each
    owners = {owner: each.kind for owner, each in latest.items() if each.kind is not None}
    return Known(newest_version=newest, owners=owners)


def _stored(target: Connections) -> Iterator[Version]:
    """All owners in `state`. Only deleted owners get a tombstone, so a tombstone adds nothing."""
    for message in read_to_end(target, _begins(target, STATE)):
        key = (message.key() or b"").decode()
        value = message.value()
        if not (key.startswith(JOB_PREFIX) and value):
            continue
        stored = decode(value, StoredDefinition)
        kind = DefinitionKind.JOB if stored.dag is None else DefinitionKind.DAG
        yield Version(owner=key.removeprefix(JOB_PREFIX), number=stored.version, kind=None if stored.deleted else kind)


def _unread(target: Connections, clocks: dict[int, Seen]) -> Iterator[Version]:
    """Versions that the connector has captured and no stream worker has applied yet."""
    begins = {
        (topic, number): max(begin, clocks[number].clock.applied_of(CDC) + 1 if number in clocks else begin)
        for (topic, number), begin in _begins(target, CDC).items()
    }
    for message in read_to_end(target, begins):
        try:
            row = decode(message.value() or b"", _Captured)
        except UndecodableError:
            continue  # a request, or a record that no stream worker can decode either
        yield Version(owner=row.owner, number=row.version, kind=None if row.deleted else row.kind)


def _begins(target: Connections, topic: str) -> dict[tuple[str, int], int]:
    asked = [(target.topic(topic), number) for number in range(target.partitions)]
    return offsets(target, asked, OFFSET_BEGINNING)
