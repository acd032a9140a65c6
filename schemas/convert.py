"""Converts plain values and JSON to typed values, in any thread."""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_lock = threading.Lock()


def decoder_of(kind: type[T]) -> msgspec.json.Decoder[T]:
    """The decoder of a type; only one thread at a time creates one.

    msgspec 0.22 inspects a struct when it first decodes it. A second thread that decodes the same struct at that time
    ends the process with a segmentation fault (docs/facts.md). Creating a decoder inspects its type, with all nested
    types.
    """
    found = _decoders.get(kind)
    if found is None:
        with _lock:
            found = _decoders[kind] = msgspec.json.Decoder(kind)
    return found


def convert(plain: Any, kind: type[T]) -> T:
    """Raises `msgspec.ValidationError`."""
    decoder_of(kind)  # inspects the type in one thread
    return msgspec.convert(plain, kind, strict=True)
