"""Reads and writes JSON that the database holds but orjson refuses: such values are kept as text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 200
"""The limit of the tables; orjson writes at most 254 levels, including the rows around the value."""
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


def read(text: str | bytes) -> Any:
    """Parse JSON; text that is nested too deeply, or has a number of thousands of digits, stays text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _as_text(text)
    return _as_text(text) if _is_deep(value) else value


def writable(value: Any) -> Any:
    """Replace what orjson cannot write with text: integers of more than 64 bits, lone surrogates."""
    match value:
        case int() if not _SMALLEST <= value <= _LARGEST:
            return str(value)
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {writable(name): writable(each) for name, each in value.items()}
        case list() | tuple():
            return [writable(each) for each in value]
        case _:
            return value


def _as_text(text: str | bytes) -> str:
    return text if isinstance(text, str) else bytes(text).decode()


def _is_deep(value: Any) -> bool:
    """Go level by level: recursion would reach Python's limit."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for each in level for inner in _inner(each)]
        if not level:
            return False
    return True


def _inner(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
        case _:
            return ()
