"""A clock round: asks every broker that leads a partition of a topic for its time, with an empty record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from schemas.cluster_clock import AGREE_SECONDS, Round, Span, span_of

CLOCK_KEY = b"clock"
"""The key of the records, which are tombstones: readers skip them, and compaction removes them."""
PATIENCE_SECONDS = AGREE_SECONDS
"""A slower answer is ignored, because it is too imprecise."""
_LOG_APPEND_TIME = 2
"""RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME of librdkafka: only this timestamp type comes from the broker's clock."""
PRODUCER_OPTIONS: dict[str, Any] = {"acks": 1, "linger_ms": 0, "message_timeout_ms": 5_000}


class Asker(Protocol):
    """The part of a producer that a round needs."""

    def list_topics(self, topic: str, timeout: float) -> Any: ...

    def produce(
        self, topic: str, *, key: bytes, value: None, partition: int, on_delivery: Callable[[Any, Any], None]
    ) -> None: ...

    def flush(self, timeout: float) -> int: ...


def ask_brokers(producer: Asker, topic: str, boot: Callable[[], float], wall: Callable[[], float]) -> Round:
    """Asks each broker once. An answer counts only if the same broker leads the partition before and after.

    Raises what `list_topics` raises.
    """
    leaders = _leaders(producer, topic)
    spans: dict[int, Span] = {}
    for partition in _one_each(leaders):
        answered = partial(_note, spans, partition, boot, boot())
        producer.produce(topic, key=CLOCK_KEY, value=None, partition=partition, on_delivery=answered)
    producer.flush(PATIENCE_SECONDS)
    after, heard = _leaders(producer, topic), dict(spans)
    at = boot()
    return Round(
        at=at,
        asked=len(set(leaders.values())),
        answers={leaders[each]: span for each, span in heard.items() if after.get(each) == leaders[each]},
        host=wall() - at,
    )


def _leaders(producer: Asker, topic: str) -> dict[int, int]:
    """The leading broker of each partition."""
    found = producer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions
    return {number: each.leader for number, each in found.items() if each.leader >= 0}


def _one_each(leaders: Mapping[int, int]) -> list[int]:
    """One partition for each broker."""
    return list({leader: partition for partition, leader in leaders.items()}.values())


def _note(
    spans: dict[int, Span], partition: int, boot: Callable[[], float], sent: float, error: Any, message: Any
) -> None:
    acknowledged = boot()
    kind, appended_ms = message.timestamp() if error is None else (None, 0)
    if kind == _LOG_APPEND_TIME and acknowledged - sent <= PATIENCE_SECONDS:
        spans[partition] = span_of(sent=sent, acknowledged=acknowledged, appended_ms=appended_ms)
