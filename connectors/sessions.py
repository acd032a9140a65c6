"""Tells whether a Postgres session belongs to this client alone, which advisory locks need."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import scalar_row


def is_shared(connection: psycopg.Connection[Any], dsn: str) -> bool:
    """Whether the connection leads to a pooler in transaction mode, which shares sessions between clients.

    The connection must be idle. Also false if such a pooler happens to give two clients different sessions.
    """
    process = server_process(connection)
    if process == connection.info.backend_pid:  # a pooler sends its clients another pid
        return False
    with psycopg.connect(dsn, autocommit=True) as other:
        return server_process(other) == process


def server_process(connection: psycopg.Connection[Any]) -> int:
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: int | None = cursor.execute("select pg_backend_pid()").fetchone()
    assert found is not None
    return found
