"""What attempts may use, for people: sizes with units, and the columns about the sandbox in one line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tidemill.output import size
from tidemill.target import UsageError

SIZES = frozenset({"memory", "disk"})
"""Columns in bytes."""
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([kmgt]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def in_bytes(column: str, said: str) -> int:
    """`512MB`, `1.5 GiB` or `1048576` in bytes, with 1,024 of each unit. Raises `UsageError`."""
    found = _SIZE.fullmatch(said.strip())
    if found is None:
        raise UsageError(f"{column} is {said!r}: write a size such as 512MB or 2GB, or bytes")
    return int(float(found[1]) * 1024 ** _POWERS[found[2].lower()])


def may_use(row: Mapping[str, Any]) -> str | None:
    """What the columns of a job or node allow its attempts; None: whatever the executor gives by default."""
    cores = row["cpu"] and f"{row['cpu']:g} core{'' if row['cpu'] == 1 else 's'}"
    said = {
        "sandbox": row["sandbox"],
        "network": row["network"],
        "memory": row["memory"] and size(row["memory"]),
        "disk": row["disk"] and size(row["disk"]),
        "cpu": cores,
        "pids": row["pids"],
        "unveil": " ".join(row["unveil"]),
    }
    return ", ".join(f"{name} {value}" for name, value in said.items() if value) or None
