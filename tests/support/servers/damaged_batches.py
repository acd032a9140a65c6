"""Batches that no client can read, made in a broker's own files while it runs: it serves what is there."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from aiokafka.record.util import calc_crc32c

_MAGIC, _CRC, _ATTRIBUTES, _RECORDS = 16, 17, 21, 61
Damage = Callable[[bytearray], None]


def broken_body(batch: bytearray) -> None:
    """Its codec is one that every client has, and cannot make anything of the bytes."""
    for place in range(_RECORDS + 8, len(batch)):
        batch[place] ^= 0x5A


def unknown_codec(batch: bytearray) -> None:
    batch[_ATTRIBUTES + 1] |= 7


def unknown_format(batch: bytearray) -> None:
    batch[_MAGIC] = 3


def odd_header(batch: bytearray) -> None:
    """Not compressed, with a header `name` in each record."""
    batch[:] = batch.replace(b"name", b"\xff\xfe\xff\xfe")


DAMAGES: dict[str, Damage] = {
    "a broken body": broken_body,
    "an unknown codec": unknown_codec,
    "an unknown format": unknown_format,
}


def spoil(data: Path, topic: str, partition: int, offset: int, damage: Damage) -> tuple[int, int]:
    """Damages the batch with this offset; its checksum is right. Returns its first and its last offset."""
    for path in sorted(data.glob(f"**/{topic}-{partition}/*.log")):
        with path.open("r+b") as file:
            for place, batch in _batches(file.read()):
                first = struct.unpack_from(">q", batch)[0]
                last = first + struct.unpack_from(">i", batch, 23)[0]
                if first <= offset <= last:
                    damage(batch)
                    struct.pack_into(">I", batch, _CRC, calc_crc32c(bytes(batch[_ATTRIBUTES:])))
                    file.seek(place)
                    file.write(batch)
                    return first, last
    raise LookupError(f"no batch of {topic}-{partition} has the offset {offset}")


def _batches(content: bytes) -> Iterator[tuple[int, bytearray]]:
    place = 0
    while place + _RECORDS <= len(content):
        size = 12 + struct.unpack_from(">i", content, place + 8)[0]
        if size <= _RECORDS:
            return  # the rest of a file that is made ahead
        yield place, bytearray(content[place : place + size])
        place += size
