"""Decoders with a size limit: a few kilobytes of zstd can decompress to more than the memory of a machine."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any

import cramjam
from aiokafka.record.default_records import DefaultRecordBatch

from schemas.errors import TidemillError

MAX_BATCH_BYTES = 100_000_000
"""The size of a decompressed batch. librdkafka has the same limit for zstd."""
_USUAL_RATIO, _MIN_BYTES = 20, 64 * 1024
"""The first buffer has this size: most batches need no more, and a large buffer costs time."""
_GZIP = 31
"""The `wbits` of zlib for a gzip header and trailer."""

Decoder = Callable[[Any], bytes]


class TooLargeError(TidemillError):
    """A decompressed batch is larger than `MAX_BATCH_BYTES`."""


def bound_decoders() -> None:
    """Replace the decoders of aiokafka, Faust's client, in this process."""
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
            raise TooLargeError(f"the batch has more than {limit} bytes, or no end")
        return found

    return decode


def frame_decoder(into: Callable[[Any, bytearray], int], limit: int) -> Decoder:
    def decode(data: Any) -> bytes:
        buffer = bytearray(min(_MIN_BYTES + _USUAL_RATIO * len(data), limit))
        try:
            return bytes(memoryview(buffer)[: into(data, buffer)])
        except cramjam.DecompressionError:
            buffer = bytearray(limit)
            return bytes(memoryview(buffer)[: into(data, buffer)])

    return decode
