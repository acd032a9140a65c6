"""Landlock: which files the processes of an attempt may use, as a ruleset that they enter before their exec."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag
from functools import cache
from pathlib import Path

from executors.sandbox.calls import NUMBERS
from schemas.errors import TidemillError

_VERSION = 1
"""The flag of `landlock_create_ruleset` that asks for the version of the interface (ABI)."""
_PATH_BENEATH = 1
_SCOPES_FROM = 6
_ABSTRACT_SOCKETS, _SIGNALS = 1, 2


class Access(IntFlag):
    """The rights of `linux/landlock.h`."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


_SINCE = {2: Access.REFER, 3: Access.TRUNCATE, 5: Access.IOCTL_DEV}
"""By the version that brought them; version 1 has the others."""
READ = Access.READ_FILE | Access.READ_DIR
CHANGE = (
    Access.WRITE_FILE
    | Access.TRUNCATE
    | Access.REMOVE_DIR
    | Access.REMOVE_FILE
    | Access.MAKE_DIR
    | Access.MAKE_REG
    | Access.MAKE_SOCK
    | Access.MAKE_FIFO
    | Access.MAKE_SYM
    | Access.REFER
)
DEVICE = Access.READ_FILE | Access.WRITE_FILE | Access.TRUNCATE | Access.IOCTL_DEV
_OF_FILES = Access.EXECUTE | DEVICE
"""The rights that a rule about a file can give."""


class LedOutError(TidemillError):
    """A path leads out of the directory that it has to stay in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Rights to a file, or to a directory and everything below it."""

    path: str
    access: Access
    within: str | None = None
    """A real path: what `path` leads to must be this or lie below it."""


class Granted:
    """Rights to what a path leads to now, also when the path leads elsewhere later."""

    def __init__(self, rule: Rule) -> None:
        """Raises `OSError`, or `LedOutError`."""
        self.fd = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
        try:
            found = os.fstat(self.fd)
            if rule.within is not None:
                _check_within(self.fd, rule)
        except (OSError, LedOutError):
            self.close()
            raise
        self.identity, self.is_dir = identity_of(found), stat.S_ISDIR(found.st_mode)
        kind = rule.access if self.is_dir else rule.access & _OF_FILES
        self._attributes = struct.pack("<Qi", kind & handled(abi()), self.fd)

    def add_to(self, ruleset: int) -> None:
        _call("landlock_add_rule", ruleset, _PATH_BENEATH, self._attributes, 0)

    def close(self) -> None:
        os.close(self.fd)


def identity_of(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _check_within(fd: int, rule: Rule) -> None:
    real = Path(f"/proc/self/fd/{fd}").readlink()
    if not real.is_relative_to(rule.within or "/"):
        raise LedOutError(f"{rule.path} leads to {real}, which is not below {rule.within}")


@cache
def abi() -> int:
    """The version of Landlock that this kernel has; 0: it has none, or it is switched off."""
    try:
        return _call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


@cache
def handled(version: int) -> Access:
    """All rights that this version knows: what no rule gives is denied."""
    unknown = Access(0)
    for since, access in _SINCE.items():
        if since > version:
            unknown |= access
    return ~unknown & ~Access(0)


def has_scopes(version: int) -> bool:
    """Whether it keeps signals and abstract unix sockets inside."""
    return version >= _SCOPES_FROM


def make_scopes() -> int | None:
    """A ruleset that only keeps signals and abstract sockets inside; None: this kernel cannot. Raises `OSError`."""
    if not has_scopes(abi()):
        return None
    attributes = struct.pack("<QQQ", 0, 0, _ABSTRACT_SOCKETS | _SIGNALS)
    return _call("landlock_create_ruleset", attributes, len(attributes), 0)


def make_ruleset(granted: Iterable[Granted]) -> int:
    """Returns its descriptor. Raises `OSError`."""
    version = abi()
    scoped = _ABSTRACT_SOCKETS | _SIGNALS if has_scopes(version) else 0
    attributes = struct.pack("<QQQ", handled(version), 0, scoped)
    size = len(attributes) if has_scopes(version) else struct.calcsize("<Q")
    fd = _call("landlock_create_ruleset", attributes, size, 0)
    try:
        for each in granted:
            each.add_to(fd)
    except OSError:
        os.close(fd)
        raise
    return fd


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@cache
def _numbers() -> dict[str, int]:
    return NUMBERS.get(os.uname().machine, {})


def _call(name: str, *args: int | bytes | None) -> int:
    """Raises `OSError`."""
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in args]
    result: int = _libc().syscall(ctypes.c_long(_numbers().get(name, -1)), *words)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
