"""Checks JSON in pieces, without a Python object for each of its values: user JSON may have millions of them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import accumulate

_PIECE_BYTES = 64 * 1024
"""A piece makes at most as many small objects as it has bytes: a few megabytes, whatever the JSON is."""
_OPENING, _CLOSING = b"[{", b"]}"
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = bytes.maketrans(_OPENING + _CLOSING, b"\x01\x01\xff\xff")
"""A bracket as a signed byte: how it changes the depth."""


def check_utf8(data: bytes) -> None:
    """Raises `UnicodeDecodeError`, whose `start` is the position in `data`."""
    if data.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _PIECE_BYTES):
        piece = data[start : start + _PIECE_BYTES]
        began = start - len(decoder.getstate()[0])
        try:
            decoder.decode(piece, final=start + len(piece) == len(data))
        except UnicodeDecodeError as error:
            first, last = began + error.start, began + error.end
            raise UnicodeDecodeError("utf-8", data, first, last, error.reason) from None


def depth_of(json: bytes, most: int) -> int:
    """How deep arrays and objects of valid JSON are nested; for JSON with few brackets an upper bound.

    Stops above `most`.
    """
    brackets = json.count(b"[") + json.count(b"{")
    if brackets <= most:
        return brackets
    depth = deepest = 0
    for steps in _steps(json):
        levels = memoryview(steps).cast("b")
        peak = max(accumulate(levels, initial=depth))
        deepest = max(deepest, peak)
        depth += sum(levels)
        if deepest > most:
            break
    return deepest


def _steps(json: bytes) -> Iterator[bytes]:
    """The brackets outside strings, each as its step in depth."""
    is_inside, kept = False, b""
    for start in range(0, len(json), _PIECE_BYTES):
        whole = kept + json[start : start + _PIECE_BYTES]
        # A backslash and the character after it stay together.
        kept = whole[-1:] if _ends_in_escape(whole) else b""
        plain = whole[: len(whole) - len(kept)].replace(rb"\\", b"").replace(rb"\"", b"")
        parts = plain.translate(None, _NOT_STRUCTURE).split(b'"')
        yield b"".join(parts[is_inside::2]).translate(_STEPS)
        is_inside ^= len(parts) % 2 == 0


def _ends_in_escape(data: bytes) -> bool:
    return (len(data) - len(data.rstrip(b"\\"))) % 2 == 1


def has_nul(json: bytes) -> bool:
    """Whether valid JSON contains an escaped U+0000; an escaped backslash before the letters u0000 is none."""
    return rb"\u0000" in json and rb"\u0000" in json.replace(rb"\\", b"")
