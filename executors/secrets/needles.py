"""What is looked for to mask a secret: every 8 bytes of it, as it is and in the encodings that programs use."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

WINDOW_BYTES = 8
"""Of a longer value, no so many bytes in a row get out, wherever they come from."""
SHORTEST_BYTES = 4
"""A shorter value is not masked: it would be found everywhere."""
_URLSAFE = bytes.maketrans(b"+/", b"-_")
_QUARTER = 6
"""The bits of a character of base64."""


def needles_of(value: str) -> frozenset[bytes]:
    """Each has from 4 to 8 bytes. Empty if the value is too short to be masked."""
    if len(value.encode()) < SHORTEST_BYTES:
        return frozenset()
    return frozenset(needle for form in set(_forms(value)) for needle in _windows(form))


def _forms(value: str) -> Iterator[bytes]:
    raw = value.encode()
    yield raw
    for is_ascii in (True, False):
        yield json.dumps(value, ensure_ascii=is_ascii)[1:-1].encode()
    for quoted in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield quoted.encode()
        yield _with_small_digits(quoted)
    for offset in range(3):
        form = _in_base64(raw, offset)
        yield form
        yield form.translate(_URLSAFE)


def _with_small_digits(quoted: str) -> bytes:
    first, *rest = quoted.split("%")
    return "%".join([first, *(each[:2].lower() + each[2:] for each in rest)]).encode()


def _in_base64(raw: bytes, offset: int) -> bytes:
    """The characters that depend on the value alone, if it stands `offset` bytes after a multiple of three."""
    whole = base64.b64encode(b"\0" * offset + raw)
    return whole[-(-8 * offset // _QUARTER) : 8 * (offset + len(raw)) // _QUARTER]


def _windows(form: bytes) -> Iterator[bytes]:
    if len(form) < WINDOW_BYTES:
        if len(form) >= SHORTEST_BYTES:
            yield form
        return
    for start in range(len(form) - WINDOW_BYTES + 1):
        yield form[start : start + WINDOW_BYTES]
