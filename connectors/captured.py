"""Tells whether everything that Postgres had written at one moment has passed the connector and the owners."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import msgspec
import psycopg
from confluent_kafka import TopicPartition

from connectors.offsets import offset_range
from connectors.owner_clocks import Seen, read_between, reader_of
from connectors.statements import sql
from connectors.topics import topic_ids
from schemas.settings import Connections
from schemas.topics import CDC


class Position(msgspec.Struct, frozen=True, kw_only=True):
    written: int
    """The end of the WAL, in bytes."""
    confirmed: int | None
    """The WAL before it is in `cdc`. None: there is no such slot, or it is lost."""

    def follows(self, before: Position, written: int) -> bool:
        """Whether all WAL up to `written` is in `cdc`; `before`: an earlier look.

        A slot that was made again confirms its own begin while the snapshot is not sent. It moves only after that.
        """
        if self.confirmed is None or before.confirmed is None:
            return False
        return written <= before.confirmed < self.confirmed


def look_position(postgres: psycopg.Connection, slot_name: str) -> Position:
    row = postgres.execute(sql("capture_position"), {"slot_name": slot_name}).fetchone()
    assert row is not None, "the statement returns a row"
    return Position(written=row[0], confirmed=row[1])


def cdc_ends(connections: Connections) -> dict[int, int]:
    """The end of each partition of `cdc` now. Raises `NoOffsetsError` and `KafkaException`."""
    topic = connections.topic(CDC)
    with closing(reader_of(connections)()) as consumer:
        return {
            number: offset_range(consumer, TopicPartition(topic, number))[1] for number in range(connections.partitions)
        }


def not_applied(connections: Connections, clocks: Mapping[int, Seen], ends: Mapping[int, int]) -> str | None:
    """Why the owners may not have applied `cdc` up to these ends; None: they have."""
    topic = connections.topic(CDC)
    topic_id = topic_ids(connections, [topic])[topic]
    begins: dict[int, int] = {}
    for number, end in ends.items():
        seen = clocks.get(number)
        if seen is None or seen.clock.topic_id_of(CDC) not in {"", topic_id}:
            return (
                f"the topic {topic} was deleted and created again; restart the stream workers, which read the old one"
            )
        if (begin := seen.clock.applied_of(CDC) + 1) < end:
            begins[number] = begin
    if _has_record(connections, topic, begins, ends):
        return f"the stream workers have not applied all records of {topic}; see whether each partition has an owner"
    return None


def _has_record(connections: Connections, topic: str, begins: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    """Whether there is a record, and not only markers of transactions."""
    if not begins:
        return False
    open_reader = reader_of(connections)
    with closing(open_reader()) as consumer:
        return any(True for _ in read_between(consumer, open_reader, topic, begins, ends))
