"""Ends a worker whose assigned partition has input that nobody reads: its restart finds what stopping hides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.ends import is_end_of_file
from schemas.settings import Connections
from streams.clock import boot_seconds
from streams.groups import ANSWER_SECONDS

log = structlog.get_logger()

LOOK_SECONDS = 5.0

RECOVERY, NOTHING_APPLIED, ENDLESS = "recovery", -1, 1_000_000
"""A partition without an owner has everything unread."""

Where = tuple[str, int]


class Stalls:
    """Pure: since when each partition has had unread input without progress."""

    def __init__(self) -> None:
        self._seen: dict[Where, tuple[int, float]] = {}
        self._passed: dict[Where, int] = {}

    def look(self, applied: dict[Where, int], ends: dict[Where, int], now: float) -> dict[Where, float]:
        """Seconds without progress, by partition with unread input. `applied` is the last applied offset, `ends` the
        offset behind the last record; a marker at the very end counts as one unread record, hence the two.
        """
        stalled: dict[Where, float] = {}
        for where, applied_offset in applied.items():
            offset = max(applied_offset, self._passed.get(where, applied_offset))
            last, since = self._seen.get(where, (offset - 1, now))
            if offset != last or offset + 2 >= ends.get(where, 0):
                since = now
            self._seen[where] = (offset, since)
            stalled[where] = now - since
        self._seen = {where: seen for where, seen in self._seen.items() if where in applied}
        self._passed = {where: offset for where, offset in self._passed.items() if offset > applied.get(where, offset)}
        return {where: seconds for where, seconds in stalled.items() if seconds > 0}

    def passed(self, where: Where) -> int:
        return self._passed.get(where, NOTHING_APPLIED)

    def pass_by(self, where: Where, end: int) -> None:
        """Nobody can read anything below `end`: what lies there was aborted."""
        self._passed[where] = end - 1


def watch(
    connections: Connections,
    limit: timedelta,
    applied: Callable[[], dict[Where, int]],
    unrecovered: Callable[[], set[int]],
    stop: Callable[[], None],
    ended: threading.Event,
) -> None:
    """Looks until `ended`; calls `stop` once a partition has stalled for `limit`, or had no owner for so long."""
    reader = watchdog_reader(connections)
    stalls = Stalls()
    while not ended.wait(LOOK_SECONDS):
        try:
            stalled = _look(reader, connections, limit, applied(), unrecovered(), stalls)
        except KafkaException:
            continue  # brokers that are away are nobody's stall
        if stalled:
            where, seconds = stalled
            log.error("worker_stalled", topic=where[0], partition=where[1], seconds=round(seconds))
            stop()
            return


def _look(
    reader: Consumer,
    connections: Connections,
    limit: timedelta,
    held: dict[Where, int],
    unrecovered: set[int],
    stalls: Stalls,
) -> tuple[Where, float] | None:
    """A partition that has stalled for `limit`, and for how many seconds."""
    ends = {where: _end(reader, connections, where) for where in held}
    ownerless = {(RECOVERY, partition): NOTHING_APPLIED for partition in unrecovered}
    ends |= dict.fromkeys(ownerless, ENDLESS)
    for where, seconds in stalls.look(held | ownerless, ends, boot_seconds()).items():
        if seconds < limit.total_seconds():
            continue
        if where not in held or is_unread(reader, connections, where, stalls, held[where], ends[where]):
            return where, seconds
    return None


def watchdog_reader(connections: Connections) -> Consumer:
    return Consumer(
        connections.kafka(
            group_id="tidemill-watchdog",
            enable_auto_commit=False,
            enable_partition_eof=True,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
    )


def is_unread(reader: Consumer, connections: Connections, where: Where, stalls: Stalls, applied: int, end: int) -> bool:
    """Whether there is a record that anybody may see. Others' transactions, once aborted, leave long gaps."""
    topic, partition = where
    after = max(applied, stalls.passed(where))
    reader.assign([TopicPartition(connections.topic(topic), partition, after + 1)])
    try:
        message = reader.poll(ANSWER_SECONDS)
    finally:
        reader.unassign()
    if message is not None and is_end_of_file(message):
        stalls.pass_by(where, end)
    return message is not None and message.error() is None


def _end(reader: Consumer, connections: Connections, where: Where) -> int:
    topic, partition = where
    offsets = reader.get_watermark_offsets(TopicPartition(connections.topic(topic), partition), timeout=ANSWER_SECONDS)
    return offsets[1] if offsets else 0
