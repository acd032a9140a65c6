"""Telephone lines to neighbours, and the servers that no attempt without a network may reach."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from contextlib import suppress
from pathlib import Path


class Line:
    """Each neighbour calls, says who it is, and waits for a question."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._calls: dict[str, tuple[dict, object]] = {}
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        return self._server.getsockname()

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                call, _ = self._server.accept()
                talk = call.makefile("rw")
                said = json.loads(talk.readline() or "{}")
                if said:
                    self._calls[said["mark"]] = said, talk

    def said(self, mark: str) -> dict | None:
        return self._calls[mark][0] if mark in self._calls else None

    def ask(self, mark: str) -> dict:
        """What has changed for it; it ends then."""
        _, talk = self._calls.pop(mark)
        with talk:
            talk.write("well?\n")
            talk.flush()
            return json.loads(talk.readline() or '{"it": "hung up"}')

    def close(self) -> None:
        self._server.close()


class Baits:
    """Servers for what a job must not reach: they count who came."""

    def __init__(self, folder: Path) -> None:
        self.came: list[str] = []
        self.abstract = f"tidemill-bait-{secrets.token_hex(8)}"
        self.path = folder / "bait"
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._unix, self._hidden = (socket.socket(socket.AF_UNIX) for _ in range(2))
        self._unix.bind(str(self.path))
        self.path.chmod(0o600)
        self._hidden.bind("\0" + self.abstract)
        for each in (self._unix, self._hidden):
            each.listen()
        for each in (self._tcp, self._unix, self._hidden):
            threading.Thread(target=self._accept, args=[each], daemon=True).start()
        threading.Thread(target=self._receive, daemon=True).start()

    @property
    def addresses(self) -> dict[str, object]:
        return {
            "tcp": self._tcp.getsockname(),
            "udp": self._udp.getsockname(),
            "unix": str(self.path),
            "abstract": self.abstract,
        }

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                call, _ = server.accept()
                call.settimeout(5)
                with call, suppress(OSError):
                    self.came.append(call.recv(200).decode())

    def _receive(self) -> None:
        with suppress(OSError):
            while True:
                self.came.append(self._udp.recv(200).decode())

    def close(self) -> None:
        for each in (self._tcp, self._udp, self._unix, self._hidden):
            each.close()
