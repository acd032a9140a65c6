"""Payloads and results as Tidemill passes them on: raw JSON bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(orjson.dumps(value))


def plain(json: msgspec.Raw | None) -> Any:
    return None if json is None else orjson.loads(bytes(json))
