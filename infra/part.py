"""A part of the local stack as a value: what to start, when it is ready, and how it stops."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a part runs as when the supervisor is root and the part must not be."""

    name: str
    uid: int
    gid: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    argv: tuple[str, ...]
    log: Path
    is_ready: Callable[[], bool]
    """Asked many times a second while the part starts: answers at once or within half a second."""
    env: Mapping[str, str] = {}
    port: int | None = None
    waits_for: tuple[str, ...] = ()
    """Parts that are ready before this one is started."""
    uses: tuple[str, ...] = ()
    """Parts that are stopped after this one."""
    once: bool = False
    """A job of the start: ready when it has ended with 0."""
    ready_file: Path | None = None
    user: User | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    """Sent by the kernel when the supervisor dies, when nobody is left to insist."""
    start_seconds: float = 90
    """One that is not ready by then hangs: it is killed, and started again."""
    stop_seconds: float = 15
