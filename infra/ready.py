"""Checks whether a part answers; each check takes at most half a second."""

from __future__ import annotations

import http.client
import socket
import struct

TIMEOUT_SECONDS = 0.5
API_VERSIONS = 18
NOT_LIVE = 503
TEXT_BYTES = 1000


def kafka_answers(port: int) -> bool:
    """Send ApiVersions: the broker's port is open before it processes requests."""
    request = struct.pack(">hhih", API_VERSIONS, 0, 1, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.sendall(struct.pack(">i", len(request)) + request)
            head = connection.recv(10, socket.MSG_WAITALL)
    except OSError:
        return False
    if len(head) < 10:
        return False
    _, correlation, error = struct.unpack(">iih", head)
    return bool(correlation == 1 and error == 0)


def http_status(port: int, path: str) -> int | None:
    """None if nothing answers."""
    found = _get(port, path)
    return None if found is None else found[0]


def why_not_live(port: int) -> str | None:
    """The sentence of `/livez`. None: the process is live, or does not answer, as a frozen one."""
    found = _get(port, "/livez")
    return found[1] if found is not None and found[0] == NOT_LIVE else None


def _get(port: int, path: str) -> tuple[int, str] | None:
    """The status and the beginning of the text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(TEXT_BYTES).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
