"""Whether a session of Postgres is this client's alone, as advisory locks need it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import scalar_row


def is_shared(connection: psycopg.Connection[Any], dsn: str) -> bool:
    """Whether a pooler in transaction mode serves clients in turn by one session of the server. Asked of an idle
    connection. False also where such a pooler happens to give each of two clients a session of its own.
    """
    process = server_process(connection)
    if process == connection.info.backend_pid:  # a pooler tells its clients a number of its own
        return False
    with psycopg.connect(dsn, autocommit=True) as other:
        return server_process(other) == process


def server_process(connection: psycopg.Connection[Any]) -> int:
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: int | None = cursor.execute("select pg_backend_pid()").fetchone()
    assert found is not None
    return found
