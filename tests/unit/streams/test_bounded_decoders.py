"""Compressed batches are decoded up to a size that no worker's memory exceeds."""

from __future__ import annotations

import gzip
from typing import Any

import cramjam
import pytest

from streams.bounded_decoders import frame_decoder, gzip_decoder

LIMIT = 1_000_000
CODECS: dict[str, tuple[Any, Any]] = {
    "gzip": (gzip.compress, gzip_decoder(LIMIT)),
    "lz4": (cramjam.lz4.compress, frame_decoder(cramjam.lz4.decompress_into, LIMIT)),
    "zstd": (cramjam.zstd.compress, frame_decoder(cramjam.zstd.decompress_into, LIMIT)),
}
every_codec = pytest.mark.parametrize(("compress", "decode"), CODECS.values(), ids=CODECS)


@every_codec
@pytest.mark.parametrize("size", [0, 1, 300_000, LIMIT])
def test_a_batch_within_the_limit_is_decoded(compress: Any, decode: Any, size: int) -> None:
    assert decode(bytes(compress(bytes(size)))) == bytes(size)


@every_codec
def test_a_batch_beyond_the_limit_is_refused(compress: Any, decode: Any) -> None:
    with pytest.raises(Exception, match=r"more than 1000000 bytes|failed to write whole buffer"):
        decode(bytes(compress(bytes(LIMIT + 1))))


@every_codec
def test_a_truncated_batch_is_refused(compress: Any, decode: Any) -> None:
    with pytest.raises(Exception, match=r".+"):
        decode(bytes(compress(bytes(range(256)) * 100))[:-20])
