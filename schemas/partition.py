"""Where a key goes: Kafka's murmur2 partitioner, the one that Debezium and Java producers use."""

from __future__ import annotations

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Kafka's 32 bit murmur2 (org.apache.kafka.common.utils.Utils), as an unsigned number."""
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length - length % 4
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _MASK
        k = (k ^ k >> 24) * _MULTIPLIER & _MASK
        h = h * _MULTIPLIER & _MASK ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * _MULTIPLIER & _MASK
    h = (h ^ h >> 13) * _MULTIPLIER & _MASK
    return h ^ h >> 15


def partition_of(key: str, partitions: int) -> int:
    """The partition of `key` in a topic with `partitions` partitions."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
