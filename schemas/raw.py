"""JSON that goes through Tidemill as it came, byte for byte: payloads and results. No program on the way reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    Json: TypeAlias = msgspec.Raw | None
else:  # msgspec has no optional Raw; a field's default may be None all the same
    Json = msgspec.Raw

_NULL = b"null"


def keep_json(struct: msgspec.Struct, field: str) -> None:
    """Call it in `__post_init__`: JSON null is None, and other JSON has memory of its own.

    What a decoder makes is a view of the whole record, which would stay in memory as long as its payload.
    """
    raw: Json = getattr(struct, field)
    if raw is not None:
        is_null = size_of(raw) == len(_NULL) and bytes(raw) == _NULL
        msgspec.structs.force_setattr(struct, field, None if is_null else raw.copy())


def size_of(raw: Json) -> int:
    """In bytes; 0 without JSON."""
    return 0 if raw is None else memoryview(raw).nbytes


def json_bytes(raw: Json) -> bytes:
    """Without JSON it is null."""
    return _NULL if raw is None else bytes(raw)
