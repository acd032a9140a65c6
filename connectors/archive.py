"""Writes what is about to be dropped from the read model to S3: JSON lines, compressed, each piece read back."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from datetime import date

import psycopg

from connectors.objects import Objects, ObjectsError
from connectors.statements import sql

TABLES = ("runs", "attempts", "transitions", "problems")
PIECE_BYTES = 16 * 1024 * 1024
"""Of one object before it is compressed: the sink holds no more than one in memory."""
ROWS_AT_ONCE = 1000


def archive_week(postgres: psycopg.Connection, store: Objects, prefix: str, week: date, *, keep_failures: bool) -> None:
    """All rows that go with a week, as of one moment.

    An object's name is made of its content: what is archived again is the same object, and nothing is ever replaced.
    Raises `ObjectsError`, also for what came back otherwise.
    """
    with postgres.transaction():
        postgres.execute("set transaction isolation level repeatable read, read only")
        for table in TABLES:
            for piece in pieces(_lines(postgres, table, week, keep_failures=keep_failures)):
                _store(store, f"{prefix}{table}/{week}/{hashlib.sha256(piece).hexdigest()[:32]}.jsonl.gz", piece)


def pieces(lines: Iterable[str], most_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """Whole lines, about `most_bytes` at a time; the same lines are always cut in the same places."""
    piece = bytearray()
    for line in lines:
        piece += line.encode() + b"\n"
        if len(piece) >= most_bytes:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _lines(postgres: psycopg.Connection, table: str, week: date, *, keep_failures: bool) -> Iterator[str]:
    """Read on as they are used, not all at once."""
    with postgres.cursor(name=f"archive_{table}") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        for (line,) in cursor.execute(sql(f"archive_{table}"), {"week": week, "keep_failures": keep_failures}):
            yield line


def _store(store: Objects, key: str, piece: bytes) -> None:
    content = gzip.compress(piece, mtime=0)
    uri = store.put(key, content)
    if store.read(uri) != content:
        raise ObjectsError(f"{uri} came back otherwise than it was written; nothing is dropped")
