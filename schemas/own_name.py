"""A name for a process: unique on this machine while it lives, and the same after a restart (protocol O12)."""

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
"""The kernel takes an address back when its process ends, however that ends."""


class NameTakenError(TidemillError):
    """Another process has the name."""


class OwnName(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    stamp: str
    """Of the machine, since it was started: another process of this name with another stamp is elsewhere."""
    is_chosen: bool
    """The settings name it; else it is made of the host name."""


def take_name(kind: str, place: str, wanted: str | None = None) -> OwnName:
    """The name that the settings want, else the host's: `host`, and for more on one machine `host-2`, `host-3` …

    `kind` and `place` say among whom it must be unique. Raises `NameTakenError`.
    """
    host = socket.gethostname()
    # The names below are those of a network: two containers of one machine do not see each other's.
    where = f"{host} {_BOOT_ID.read_text(encoding='ascii')} {_NETWORK.readlink()}"
    stamp = hashlib.sha256(where.encode()).hexdigest()[:8]
    for name in [wanted] if wanted else _host_names(host):
        if _take(f"{kind} {place} {name}"):
            return OwnName(name=name, stamp=stamp, is_chosen=bool(wanted))
    raise NameTakenError(
        f"another process of this machine is the {kind} {wanted!r}: give each one a name of its own, or none, and it "
        "gets one"
    )


def stamped(own: OwnName) -> str:
    """As a client's id."""
    return f"{own.name}@{own.stamp}"


def unstamped(client_id: str) -> tuple[str, str]:
    """Name and stamp; the stamp is empty where another version of Tidemill wrote the name alone."""
    name, at, stamp = client_id.rpartition("@")
    return (name, stamp) if at else (client_id, "")


def _host_names(host: str) -> Iterator[str]:
    yield host
    for number in count(2):
        yield f"{host}-{number}"


def _take(what: str) -> bool:
    """By an address without a file: nothing stays behind a process that is killed."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(b"\0tidemill-" + hashlib.sha256(what.encode()).hexdigest().encode())
    except OSError:
        holder.close()
        return False
    _kept.append(holder)
    return True
