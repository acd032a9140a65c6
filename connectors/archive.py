"""Archives the rows of a week in S3 before retention drops them: as compressed JSON lines; each object is verified."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import date

import psycopg

from connectors.objects import Objects, ObjectsError
from connectors.statements import sql

TABLES = ("runs", "attempts", "transitions", "problems", "audit_log")
PIECE_BYTES = 16 * 1024 * 1024
"""The size of an object before compression: the sink holds at most one in memory."""
ROWS_AT_ONCE = 1000


def archive_week(
    postgres: psycopg.Connection,
    store: Objects,
    prefix: str,
    week: date,
    *,
    keep_failures: bool,
    turn: Callable[[], None] = lambda: None,
) -> None:
    """Archive all rows that will be dropped with a week, from one snapshot; call `turn` after each object.

    An object's key contains a hash of its content: archiving the same rows again writes the same object, and never
    replaces another one. Raises `ObjectsError`, also if S3 returns another content than was written.
    """
    with postgres.transaction():
        postgres.execute("set transaction isolation level repeatable read, read only")
        for table in TABLES:
            for piece in pieces(_lines(postgres, table, week, keep_failures=keep_failures)):
                _store(store, f"{prefix}{table}/{week}/{hashlib.sha256(piece).hexdigest()[:32]}.jsonl.gz", piece)
                turn()


def pieces(lines: Iterable[str], most_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """Groups lines into pieces of about `most_bytes`; the same lines always give the same pieces."""
    piece = bytearray()
    for line in lines:
        piece += line.encode() + b"\n"
        if len(piece) >= most_bytes:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _lines(postgres: psycopg.Connection, table: str, week: date, *, keep_failures: bool) -> Iterator[str]:
    """Fetches the rows in pages of `ROWS_AT_ONCE`."""
    with postgres.cursor(name=f"archive_{table}") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        for (line,) in cursor.execute(sql(f"archive_{table}"), {"week": week, "keep_failures": keep_failures}):
            yield line


def _store(store: Objects, key: str, piece: bytes) -> None:
    content = gzip.compress(piece, mtime=0)
    uri = store.put(key, content)
    if store.read(uri) != content:
        raise ObjectsError(f"S3 returned another content for {uri} than was written; nothing is dropped")
