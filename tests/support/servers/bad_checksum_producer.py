"""A producer of lz4 frames with a wrong checksum: brokers accept the batch, no client can read it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import aiokafka
import pytest
from aiokafka.codec import lz4_encode
from aiokafka.record._crecords import default_records

_FLAGS, _CHECK, _CONTENT_CHECKSUM = 4, 6, 0b100
_MASK = 0xFFFFFFFF


def write_unreadable(bootstrap: str, topic: str, partition: int, values: Collection[bytes]) -> tuple[int, int]:
    """Writes one batch; returns its first and last offset."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(default_records, "lz4_encode", _with_wrong_checksum)
        return asyncio.run(_write(bootstrap, topic, partition, values))


async def _write(bootstrap: str, topic: str, partition: int, values: Collection[bytes]) -> tuple[int, int]:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type="lz4", linger_ms=500)
    await producer.start()
    try:
        sent = [await producer.send(topic, each, partition=partition) for each in values]
        offsets = [(await each).offset for each in sent]
    finally:
        await producer.stop()
    return min(offsets), max(offsets)


def _with_wrong_checksum(data: bytes) -> bytes:
    frame = bytearray(lz4_encode(data))
    frame[_FLAGS] |= _CONTENT_CHECKSUM
    frame[_CHECK] = _xxh32(bytes(frame[_FLAGS:_CHECK])) >> 8 & 0xFF
    return bytes(frame) + b"oops"


def _xxh32(data: bytes) -> int:
    """xxHash32 for fewer than four bytes."""
    value = (0x165667B1 + len(data)) & _MASK
    for byte in data:
        value = value + byte * 0x165667B1 & _MASK
        value = (value << 11 | value >> 21) * 0x9E3779B1 & _MASK
    value = (value ^ value >> 15) * 0x85EBCA77 & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE3D & _MASK
    return value ^ value >> 16
