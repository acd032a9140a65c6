"""Says which process of a stack holds a connection, from /proc: so one proxy tells its clients apart."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from infra import status as states

TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def of_connections(data: Path, servers: Collection[int]) -> dict[int, str]:
    """The port of a client -> the name of its process, for all connections to the ports of servers."""
    ports = dict(_inodes(servers))
    found: dict[int, str] = {}
    for name, pid in processes(data).items():
        for inode in _sockets(pid):
            if inode in ports:
                found[ports[inode]] = name
    return found


def processes(data: Path) -> dict[str, int]:
    """The pids of a stack's processes, by name."""
    status = states.read(data)
    return {each["name"]: each["pid"] for each in status.processes if each["pid"] is not None} if status else {}


def _inodes(servers: Collection[int]) -> Iterator[tuple[str, int]]:
    """The inode of each client's socket, and its port."""
    for table in TABLES:
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, remote, *rest = line.split()
            if int(remote.rpartition(":")[2], 16) in servers:
                yield rest[6], int(local.rpartition(":")[2], 16)


def _sockets(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):  # the process has ended
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(each.readlink())
                if target.startswith("socket:["):
                    yield target[8:-1]
