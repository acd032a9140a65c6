"""JSON that Tidemill passes on byte for byte without decoding it: payloads and results."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    Json: TypeAlias = msgspec.Raw | None
else:  # msgspec has no optional Raw, but a field's default may be None
    Json = msgspec.Raw

_NULL = b"null"


def keep_json(struct: msgspec.Struct, field: str) -> None:
    """Call it in `__post_init__`: it makes JSON null None, and copies other JSON.

    Without the copy the field is a view of the whole record, which then stays in memory as long as the field.
    """
    raw: Json = getattr(struct, field)
    if raw is not None:
        is_null = size_of(raw) == len(_NULL) and bytes(raw) == _NULL
        msgspec.structs.force_setattr(struct, field, None if is_null else raw.copy())


def size_of(raw: Json) -> int:
    """The size in bytes; 0 for None."""
    return 0 if raw is None else memoryview(raw).nbytes


def json_bytes(raw: Json) -> bytes:
    """The bytes; `null` for None."""
    return _NULL if raw is None else bytes(raw)
