"""Chooses a port for each listener of a stack; the next start uses the same ports if they are still free."""

from __future__ import annotations

import fcntl
import random
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import orjson

from infra.errors import StackError
from infra.files import write_private

# Below the range of source ports that Linux gives to outgoing connections: otherwise, while a part restarts, a client
# on this machine could get its port.
CANDIDATES = range(20_000, 32_000)
TRIES = 200


class Ports:
    """Chosen ports. A lock on each is held until `close`, so that two starting stacks never choose the same port."""

    def __init__(self, data: Path, cache: Path, names: Iterable[str]) -> None:
        self._locks: list[IO[bytes]] = []
        self._folder = cache / "ports"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = data / "ports.json"
        self._kept: dict[str, int] = orjson.loads(self._path.read_bytes()) if self._path.exists() else {}
        self.by_name = {name: self._choose(self._kept.get(name)) for name in names}
        self._keep()

    def of(self, name: str) -> int:
        """The port of this name; the first call chooses it."""
        if name not in self.by_name:
            self.by_name[name] = self._choose(self._kept.get(name))
            self._keep()
        return self.by_name[name]

    def close(self) -> None:
        for lock in self._locks:
            lock.close()

    def _keep(self) -> None:
        """Keep also the ports of names that this start does not use: a second executor may come back."""
        write_private(self._path, orjson.dumps({**self._kept, **self.by_name}))

    def _choose(self, kept: int | None) -> int:
        drawn = (random.choice(CANDIDATES) for _ in range(TRIES))
        candidates = drawn if kept is None else (kept, *drawn)
        for port in candidates:
            if self._lock(port):
                return port
        raise StackError(f"No free port was found between {CANDIDATES.start} and {CANDIDATES.stop}.")

    def _lock(self, port: int) -> bool:
        file = (self._folder / str(port)).open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        if not is_free(port):
            file.close()
            return False
        self._locks.append(file)
        return True


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # servers set it too: a port in TIME_WAIT is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
