"""What the next release writes: each record has a field that this release does not know."""

from __future__ import annotations

NEXT = "next"
FIELD = b',"of_the_next_release":{"a":[1]}}'


def as_written(value: bytes | None, release: str) -> bytes | None:
    """The record as a process of that release writes it. A release is read by the one before it (decision 40)."""
    if release != NEXT or value is None or not value.startswith(b"{") or value == b"{}":
        return value
    return value[:-1] + FIELD
