"""A connection pooler in transaction mode: all clients share one Postgres session, one transaction at a time."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

import psycopg
from psycopg import conninfo

_ENCRYPTION_REQUESTS = {80877103, 80877104}
_PARAMETERS = ("server_version", "client_encoding", "standard_conforming_strings", "DateStyle", "TimeZone")
_ENDS_A_TURN = {b"Q", b"S"}
"""Query and Sync: the server answers them with ReadyForQuery."""
_IDLE = b"I"


@contextmanager
def transaction_pooler(dsn: str) -> Iterator[str]:
    """Yields a connection string through the pooler."""
    with psycopg.connect(dsn) as session, socket.create_server(("127.0.0.1", 0)) as listening:
        raw = socket.socket(fileno=os.dup(session.fileno()))
        raw.setblocking(True)
        server = raw.makefile("rwb")
        greeting = b"".join(
            (
                _message(b"R", struct.pack(">I", 0)),
                *(_message(b"S", f"{name}\0{session.info.parameter_status(name)}\0".encode()) for name in _PARAMETERS),
                _message(b"K", struct.pack(">II", 1, 1)),
                _message(b"Z", _IDLE),
            )
        )
        threading.Thread(target=_accept, args=(listening, server, greeting), daemon=True).start()
        yield conninfo.make_conninfo(dsn, host="127.0.0.1", port=listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, server: BinaryIO, greeting: bytes) -> None:
    turn = threading.Lock()
    with suppress(OSError):
        while True:
            client = listening.accept()[0].makefile("rwb")
            threading.Thread(target=_serve, args=(client, server, turn, greeting), daemon=True).start()


def _serve(client: BinaryIO, server: BinaryIO, turn: threading.Lock, greeting: bytes) -> None:
    with client, suppress(OSError, struct.error):
        length, code = struct.unpack(">II", client.read(8))
        while code in _ENCRYPTION_REQUESTS:
            _send(client, b"N")
            length, code = struct.unpack(">II", client.read(8))
        client.read(length - 8)
        _send(client, greeting)
        while (kind := client.read(1)) not in {b"", b"X"}:
            with turn:
                _transaction(kind, client, server)


def _transaction(kind: bytes, client: BinaryIO, server: BinaryIO) -> None:
    while True:
        server.write(kind + _rest(client))
        if kind in _ENDS_A_TURN:
            server.flush()
            if _answer(client, server) == _IDLE:
                return
        kind = client.read(1)


def _answer(client: BinaryIO, server: BinaryIO) -> bytes:
    """Forwards the answer up to ReadyForQuery; returns its transaction status."""
    while True:
        kind, rest = server.read(1), _rest(server)
        client.write(kind + rest)
        if kind == b"Z":
            client.flush()
            return rest[-1:]


def _rest(side: BinaryIO) -> bytes:
    size = side.read(4)
    return size + side.read(struct.unpack(">I", size)[0] - 4)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


def _send(side: BinaryIO, data: bytes) -> None:
    side.write(data)
    side.flush()
