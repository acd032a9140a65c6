"""Damages batches in a running broker's log files, so that no client can read them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from aiokafka.record.util import calc_crc32c

_MAGIC, _CRC, _ATTRIBUTES, _RECORDS = 16, 17, 21, 61
Damage = Callable[[bytearray], None]


def broken_body(batch: bytearray) -> None:
    """Keeps the codec and corrupts the compressed bytes."""
    for index in range(_RECORDS + 8, len(batch)):
        batch[index] ^= 0x5A


def unknown_codec(batch: bytearray) -> None:
    batch[_ATTRIBUTES + 1] |= 7


def unknown_format(batch: bytearray) -> None:
    batch[_MAGIC] = 3


def odd_header(batch: bytearray) -> None:
    """Makes the header key `name` invalid UTF-8. The batch must not be compressed."""
    batch[:] = batch.replace(b"name", b"\xff\xfe\xff\xfe")


DAMAGES: dict[str, Damage] = {
    "a broken body": broken_body,
    "an unknown codec": unknown_codec,
    "an unknown format": unknown_format,
}


def damage_batch(data: Path, topic: str, partition: int, offset: int, damage: Damage) -> tuple[int, int]:
    """Damages the batch with `offset` and corrects its checksum; returns its first and last offset."""
    for path in sorted(data.glob(f"**/{topic}-{partition}/*.log")):
        with path.open("r+b") as file:
            for position, batch in _batches(file.read()):
                first = struct.unpack_from(">q", batch)[0]
                last = first + struct.unpack_from(">i", batch, 23)[0]
                if first <= offset <= last:
                    damage(batch)
                    struct.pack_into(">I", batch, _CRC, calc_crc32c(bytes(batch[_ATTRIBUTES:])))
                    file.seek(position)
                    file.write(batch)
                    return first, last
    raise LookupError(f"no batch of {topic}-{partition} has the offset {offset}")


def _batches(content: bytes) -> Iterator[tuple[int, bytearray]]:
    position = 0
    while position + _RECORDS <= len(content):
        size = 12 + struct.unpack_from(">i", content, position + 8)[0]
        if size <= _RECORDS:
            return  # the rest of a preallocated file
        yield position, bytearray(content[position : position + size])
        position += size
