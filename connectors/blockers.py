"""Finds the sessions that hold the locks for which a session waits; a second session asks during the wait."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import psycopg

from connectors.sessions import server_process
from connectors.statements import sql

_CONNECT_SECONDS = 5
_PAUSE_SECONDS = 0.05


class Blockers:
    """The sessions that held the locks when last asked; `str()` lists them."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: list[str] = []

    def __str__(self) -> str:
        return f"held by {' and '.join(self._seen)}" if self._seen else "its holder is unknown"

    def watch(self, dsn: str, pid: int, is_over: Event) -> None:
        with psycopg.connect(
            dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name="tidemill-migrate"
        ) as connection:
            while not is_over.wait(_PAUSE_SECONDS):
                found = connection.execute(sql("blockers"), {"pid": pid}).fetchall()
                self._seen = [blocker for (blocker,) in found] or self._seen


@contextmanager
def blockers_of(dsn: str, connection: psycopg.Connection) -> Iterator[Blockers]:
    """Watch for blockers of `connection` in a thread while the block runs."""
    blockers, is_over = Blockers(), Event()
    with ThreadPoolExecutor(1, "blockers") as threads:
        threads.submit(blockers.watch, dsn, server_process(connection), is_over)
        try:
            yield blockers
        finally:
            is_over.set()
