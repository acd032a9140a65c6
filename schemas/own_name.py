"""Chooses a process's name: unique on this machine while it runs, and the same after a restart (protocol O12)."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec

from schemas.errors import TidemillError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NETWORK = Path("/proc/self/ns/net")
_kept: list[socket.socket] = []
"""The kernel frees a socket's address when its process ends, also after SIGKILL."""


class NameTakenError(TidemillError):
    """Another process has this name."""


class OwnName(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    stamp: str
    """Identifies the machine and its boot: a process with this name and another stamp runs elsewhere."""
    is_chosen: bool
    """True: from the settings; False: from the host name."""


def take_name(kind: str, place: str, wanted: str | None = None) -> OwnName:
    """Takes `wanted`, or the host's name: `host`, then `host-2`, `host-3` … for more processes on one machine.

    The name is unique among the processes with the same `kind` and `place`. Raises `NameTakenError`.
    """
    host = socket.gethostname()
    # Socket names belong to a network namespace: two containers of one machine do not see each other's.
    where = f"{host} {_BOOT_ID.read_text(encoding='ascii')} {_NETWORK.readlink()}"
    stamp = hashlib.sha256(where.encode()).hexdigest()[:8]
    for name in [wanted] if wanted else _host_names(host):
        if _take(f"{kind} {place} {name}"):
            return OwnName(name=name, stamp=stamp, is_chosen=bool(wanted))
    raise NameTakenError(
        f"another process of this machine is the {kind} {wanted!r}: set a different name for each, or none, and each "
        "chooses one"
    )


def stamped(own: OwnName) -> str:
    """The name and the stamp, as a Kafka client id."""
    return f"{own.name}@{own.stamp}"


def unstamped(client_id: str) -> tuple[str, str]:
    """The name and the stamp of a client id; the stamp is empty if an older version wrote only the name."""
    name, at, stamp = client_id.rpartition("@")
    return (name, stamp) if at else (client_id, "")


def _host_names(host: str) -> Iterator[str]:
    yield host
    for number in count(2):
        yield f"{host}-{number}"


def _take(name: str) -> bool:
    """Binds an abstract socket address, which leaves no file behind when the process is killed."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(b"\0tidemill-" + hashlib.sha256(name.encode()).hexdigest().encode())
    except OSError:
        holder.close()
        return False
    _kept.append(holder)
    return True
