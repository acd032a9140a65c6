"""Deterministic jitter: a hash instead of a random number, so every computation gives the same result."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b

from schemas.times import MILLISECOND, rfc3339


def share(*parts: str) -> float:
    """A number in [0, 1) that depends only on the parts."""
    digest = blake2b("\x00".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def scheduled_time(job_id: str, nominal: datetime, jitter: timedelta, following: datetime | None) -> datetime:
    """The nominal time plus jitter, always before the next nominal time."""
    if not jitter:
        return nominal
    room = jitter if following is None else min(jitter, following - nominal)
    return nominal + room * share(job_id, rfc3339(nominal)) // MILLISECOND * MILLISECOND
