"""One process of the local stack as a value: its command, when it is ready, and how it stops."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec


class User(msgspec.Struct, frozen=True, kw_only=True):
    """The user of a part that must not run as root, when the supervisor is root."""

    name: str
    uid: int
    gid: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    argv: tuple[str, ...]
    log: Path
    is_ready: Callable[[], bool]
    """Called many times a second while the part starts; must return within half a second."""
    env: Mapping[str, str] = {}
    """Added to the environment of the supervisor, and stronger."""
    without: tuple[str, ...] = ()
    """Variables that it does not get, not even from the supervisor."""
    port: int | None = None
    observe_port: int | None = None
    """Of `/metrics`, `/livez` and `/readyz`; None: the part has none of them, because it is a server of others."""
    waits_for: tuple[str, ...] = ()
    """Parts that must be ready before this one starts."""
    uses: tuple[str, ...] = ()
    """Parts that stop after this one."""
    once: bool = False
    """A job of the start: it is done when it exits with 0."""
    user: User | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    """The kernel sends it when the supervisor dies; no second signal follows."""
    start_seconds: float = 90
    """A part that is not ready after this time is killed and started again."""
    stop_seconds: float = 15
