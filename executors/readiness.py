"""Says why an executor is not ready: ready means that it claims now."""

from __future__ import annotations

import math

import msgspec


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What an executor knows of itself."""

    heartbeat_age_seconds: float
    """Seconds since the last heartbeat that Kafka acknowledged; infinite before the first."""
    freshness_seconds: float
    """Above this age of the heartbeat, in seconds, it claims nothing."""
    is_steady: bool
    """It knows the cluster time."""
    has_orders: bool
    """It has read the kill orders from before its start."""
    has_partitions: bool
    """It has partitions of each class, or none because there are more executors than partitions."""
    ill: str | None
    """Why it could start no process."""


def why_not_ready(now: Standing) -> str | None:
    """None: it is ready. The first reason explains those after it."""
    if now.heartbeat_age_seconds >= now.freshness_seconds:
        return f"Kafka has not acknowledged a heartbeat {_since(now.heartbeat_age_seconds)}, so it claims nothing"
    if not now.is_steady:
        return "it does not know the cluster time, so it claims nothing: see docs/clocks.md"
    if not now.has_orders:
        return "it has not read the kill orders from before its start yet"
    if now.ill is not None:
        return f"it is ill and has given its partitions back: {now.ill}"
    if not now.has_partitions:
        return "it has no partitions of one of its classes yet"
    return None


def supervisor_problem(silence: float, patience: float) -> str | None:
    """Why no process starts, if the process supervisor has not answered for `patience` seconds."""
    if silence < patience:
        return None
    return f"its process supervisor has not answered for {silence:.0f} s, so no process starts"


def _since(seconds: float) -> str:
    return "since the start" if math.isinf(seconds) else f"for {seconds:.0f} s"
