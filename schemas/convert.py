"""Plain values become typed ones, in any thread."""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_learned: set[type] = set()
_lock = threading.Lock()


def convert(plain: Any, kind: type[T]) -> T:
    """Raises `msgspec.ValidationError`.

    msgspec 0.22 collects what it has to know of a struct when it first converts to it. A second thread that converts to
    the same struct meanwhile finds half of that and ends the process with a segmentation fault (docs/facts.md). So one
    thread at a time makes a kind known, with all that is nested in it.
    """
    if kind not in _learned:
        with _lock:
            msgspec.json.Decoder(kind)
            _learned.add(kind)
    return msgspec.convert(plain, kind, strict=True)
