"""The versions of a job or DAG, each with what it changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
import orjson

from tidemill.target import Row

LONGEST_VALUE = 200


class Change(msgspec.Struct, frozen=True):
    name: str
    before: str | None
    """None: it had no value."""
    after: str | None


class Version(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    at: datetime
    is_deleted: bool
    changes: tuple[Change, ...]
    is_first_known: bool
    """The version before it is not kept, or there was none, so its changes are unknown."""


def versions(found: Sequence[Row]) -> list[Version]:
    """`found` the newest first; the oldest one is only compared with."""
    told = [_version(newer, older) for newer, older in pairwise(found)]
    if not found:
        return told
    last = found[-1]
    return [
        *told,
        Version(
            number=last["version"], at=last["valid_from"], is_deleted=last["deleted"], changes=(), is_first_known=True
        ),
    ]


def _version(newer: Row, older: Row) -> Version:
    return Version(
        number=newer["version"],
        at=newer["valid_from"],
        is_deleted=newer["deleted"],
        changes=tuple(changes(older["spec"] or {}, newer["spec"] or {})),
        is_first_known=False,
    )


def changes(older: Mapping[str, Any], newer: Mapping[str, Any]) -> list[Change]:
    """The fields with other values, by name; the nodes of a DAG are fields of their own."""
    before, after = _flat(older), _flat(newer)
    return [
        Change(name, _shown(before.get(name)), _shown(after.get(name)))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _flat(spec: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in spec.items() if name != "nodes"}
    for node in spec.get("nodes", ()):
        found |= {f"{node['node_id']}.{name}": value for name, value in node.items() if name != "node_id"}
    return found


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
