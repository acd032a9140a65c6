"""Decoders that stop where a batch grows too large: a few kilobytes of zstd can stand for more than a machine has."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any

import cramjam
from aiokafka.record.default_records import DefaultRecordBatch

from schemas.errors import TidemillError

MAX_BATCH_BYTES = 100_000_000
"""Of a batch without its compression. librdkafka has the same limit for zstd."""
_USUAL_RATIO, _LEAST_BYTES = 20, 64 * 1024
"""So much room is tried first: most batches need no more, and large room costs time."""
_GZIP = 31
"""`wbits` of zlib for a gzip header and trailer."""

Decoder = Callable[[Any], bytes]


class TooLargeError(TidemillError):
    """A batch grows beyond `MAX_BATCH_BYTES`."""


def bound_decoders() -> None:
    """In the client below Faust, for this process."""
    client = sys.modules[DefaultRecordBatch.__module__]
    decoders = {
        "gzip_decode": gzip_decoder(MAX_BATCH_BYTES),
        "lz4_decode": frame_decoder(cramjam.lz4.decompress_into, MAX_BATCH_BYTES),
        "zstd_decode": frame_decoder(cramjam.zstd.decompress_into, MAX_BATCH_BYTES),
    }
    for name, decoder in decoders.items():
        setattr(client, name, decoder)


def gzip_decoder(limit: int) -> Decoder:
    def decode(data: Any) -> bytes:
        stream = zlib.decompressobj(_GZIP)
        found = stream.decompress(data, limit)
        if not stream.eof:
            raise TooLargeError(f"it has more than {limit} bytes, or no end")
        return found

    return decode


def frame_decoder(into: Callable[[Any, bytearray], int], limit: int) -> Decoder:
    def decode(data: Any) -> bytes:
        room = bytearray(min(_LEAST_BYTES + _USUAL_RATIO * len(data), limit))
        try:
            return bytes(memoryview(room)[: into(data, room)])
        except cramjam.DecompressionError:
            room = bytearray(limit)
            return bytes(memoryview(room)[: into(data, room)])

    return decode
