"""What the pages read and write: pools of Postgres connections, and S3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property

import psycopg
from psycopg_pool import ConnectionPool

from connectors.objects import Objects
from schemas.settings import Connections
from tidemill.target import READ_ONLY, Row, configure, session
from tidemill.web.background import Background

LONGEST_QUERY = timedelta(seconds=5)
"""A page that needs longer is refused by the database, so that slow pages do not pile up."""
WAIT_SECONDS = 3.0
"""How long a page waits for a connection."""
LONGEST_LOCK = timedelta(seconds=1)
"""How long a change waits for a row that somebody else is changing: meanwhile it holds one of a few connections."""
WRITERS = 8
"""Each write waits for its commit, and commits at the same time share one sync of the disk."""

Pool = ConnectionPool[psycopg.Connection[Row]]


class Backend:
    def __init__(self, target: Connections, readers: int, background: Background) -> None:
        self.target = target
        self.background = background
        """What takes longer than a page may."""
        read_dsn = target.postgres_read_dsn or target.postgres_dsn
        self._read = _pool(read_dsn, f"{READ_ONLY} {_limit()}", readers)
        self._write = _pool(target.postgres_dsn, f"{_limit()} {_lock_limit()}", WRITERS)

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection[Row]]:
        """A read-only connection: to the replica, if there is one."""
        with self._read.connection() as postgres:
            yield postgres

    @contextmanager
    def writing(self) -> Iterator[psycopg.Connection[Row]]:
        """A connection to the primary, in autocommit mode."""
        with self._write.connection() as postgres:
            yield postgres

    @cached_property
    def objects(self) -> Objects:
        """Raises `ObjectsError`."""
        return Objects(self.target)

    def open(self) -> None:
        """Start the pools; a database that is down is tried again for each page."""
        self._read.open()
        self._write.open()
        self.background.open()

    def close(self) -> None:
        self.background.close()
        self._read.close()
        self._write.close()


def _limit() -> str:
    return f"-c statement_timeout={LONGEST_QUERY // timedelta(milliseconds=1)}"


def _lock_limit() -> str:
    return f"-c lock_timeout={LONGEST_LOCK // timedelta(milliseconds=1)}"


def _pool(dsn: str, options: str, most: int) -> Pool:
    # Without prepared statements, each query is planned for its own filters.
    arguments = {**session(options), "prepare_threshold": None}
    return ConnectionPool(
        dsn,
        kwargs=arguments,
        min_size=1,
        max_size=most,
        timeout=WAIT_SECONDS,
        configure=configure,
        check=ConnectionPool.check_connection,
        open=False,
        name="tidemill-web",
    )
