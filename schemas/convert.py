"""Plain values and JSON become typed values, in any thread."""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_lock = threading.Lock()


def decoder_of(kind: type[T]) -> msgspec.json.Decoder[T]:
    """It is made by one thread at a time.

    msgspec 0.22 collects what it has to know of a struct when it first reads it. A second thread that reads the same
    struct meanwhile finds half of that and ends the process with a segmentation fault (docs/facts.md). A decoder makes
    its kind known, with all that is nested in it.
    """
    found = _decoders.get(kind)
    if found is None:
        with _lock:
            found = _decoders[kind] = msgspec.json.Decoder(kind)
    return found


def convert(plain: Any, kind: type[T]) -> T:
    """Raises `msgspec.ValidationError`."""
    decoder_of(kind)
    return msgspec.convert(plain, kind, strict=True)
