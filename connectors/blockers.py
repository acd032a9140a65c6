"""Who holds the locks that a session waits for: asked meanwhile, because nobody knows it once the wait is over."""

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
    """As they were seen last; as text, a list of them."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: list[str] = []

    def __str__(self) -> str:
        return f"held by {' and '.join(self._seen)}" if self._seen else "nobody knows who holds it"

    def watch(self, dsn: str, pid: int, is_over: Event) -> None:
        with psycopg.connect(
            dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name="tidemill-migrate"
        ) as beside:
            while not is_over.wait(_PAUSE_SECONDS):
                found = beside.execute(sql("blockers"), {"pid": pid}).fetchall()
                self._seen = [said for (said,) in found] or self._seen


@contextmanager
def blockers_of(dsn: str, connection: psycopg.Connection) -> Iterator[Blockers]:
    """A second session looks while the first one works."""
    blockers, is_over = Blockers(), Event()
    with ThreadPoolExecutor(1, "blockers") as beside:
        beside.submit(blockers.watch, dsn, server_process(connection), is_over)
        try:
            yield blockers
        finally:
            is_over.set()
