"""Kafka's murmur2 partitioner, which Debezium and Java producers use."""

from __future__ import annotations

import struct

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Kafka's 32 bit murmur2 (org.apache.kafka.common.utils.Utils), as an unsigned integer."""
    length = len(data)
    h = _SEED ^ length
    words = length // 4
    for word in struct.unpack_from(f"<{words}I", data):
        k = word * _MULTIPLIER & _MASK
        h = h * _MULTIPLIER & _MASK ^ (k ^ k >> 24) * _MULTIPLIER & _MASK
    tail = data[4 * words :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * _MULTIPLIER & _MASK
    h = (h ^ h >> 13) * _MULTIPLIER & _MASK
    return h ^ h >> 15


def partition_of(key: str, partitions: int) -> int:
    """The partition of `key` in a topic with `partitions` partitions."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
