"""Says which process of a stack holds a connection, by asking the kernel: so one proxy tells its clients apart."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

from infra import status as states

Ports = tuple[int, int]
"""Of a connection on this machine: the client's, and the one that it connected to."""
_SOCK_DIAG, _BY_FAMILY, _REQUEST, _FOUND = 4, 20, 1, 20
_LOOPBACK = socket.inet_aton("127.0.0.1") + bytes(12)
_ANY_COOKIE = b"\xff" * 8
_INODE_AT = 84
"""In the answer: 16 bytes of header, and `inet_diag_msg`, whose last field it is."""
_ANSWER_BYTES = 4096


def of_connections(data: Path, connections: Collection[Ports], names: Collection[str]) -> dict[Ports, str]:
    """The names of those processes of a stack that hold these connections, as far as they are among `names`."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        inodes = {inode: each for each in connections if (inode := _inode(kernel, each))}
    found: dict[Ports, str] = {}
    for name, pid in processes(data).items():
        if name in names:
            found |= {inodes[inode]: name for inode in _sockets(pid) if inode in inodes}
    return found


def processes(data: Path) -> dict[str, int]:
    """The pids of a stack's processes, by name."""
    status = states.read(data)
    return {each["name"]: each["pid"] for each in status.processes if each["pid"] is not None} if status else {}


def _inode(kernel: socket.socket, ports: Ports) -> int | None:
    """The inode of the client's socket (sock_diag(7)). To read /proc/net/tcp takes a second with many sockets."""
    link = struct.pack("!HH", *ports) + 2 * _LOOPBACK + bytes(4) + _ANY_COOKIE
    asked = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + link
    kernel.send(struct.pack("=IHHII", 16 + len(asked), _BY_FAMILY, _REQUEST, 1, 0) + asked)
    answer = kernel.recv(_ANSWER_BYTES)
    (kind,) = struct.unpack_from("=H", answer, 4)
    return struct.unpack_from("=I", answer, _INODE_AT)[0] if kind == _FOUND else None


def _sockets(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):  # the process has ended
        for each in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - pathlib takes ten times as long, and a broker has many
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{each}")  # noqa: PTH115
                if target.startswith("socket:["):
                    yield int(target[8:-1])
