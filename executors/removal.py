"""Removes the files that a process left, at any depth and with any permissions."""

from __future__ import annotations

import itertools
import os
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

_LOG = structlog.get_logger()
_SHOWN = 5


def remove_tree(directory: Path) -> None:
    """What cannot be removed, for example because it belongs to another user, stays and is logged."""
    stuck: list[str] = []
    try:
        with _opened(str(directory)) as top:
            stuck = _Top(fd=top).clear()
        directory.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        _LOG.warning("not removed", directory=str(directory), reason=str(error), left=stuck[:_SHOWN], count=len(stuck))


@dataclass(slots=True, kw_only=True)
class _Top:
    """The directory to clear. It needs neither recursion nor long paths: before it removes a directory, it moves that
    directory's subdirectories up beside it.
    """

    fd: int
    _waiting: deque[str] = field(default_factory=deque)
    """Names of entries in this directory that are not removed yet."""
    _stuck: list[str] = field(default_factory=list)
    _unused_names: Iterator[str] = field(default_factory=lambda: _names(secrets.token_hex(8)))

    def clear(self) -> list[str]:
        """Returns what could not be removed, and why."""
        self._waiting += os.listdir(self.fd)  # noqa: PTH208 - a descriptor
        while self._waiting:
            name = self._waiting.popleft()
            with self._noting_errors(name):
                if not _unlinked(name, self.fd):
                    self._flatten(name)
                    os.rmdir(name, dir_fd=self.fd)
        return self._stuck

    def _flatten(self, name: str) -> None:
        with _opened(name, self.fd) as directory:
            for inner in os.listdir(directory):  # noqa: PTH208 - a descriptor
                with self._noting_errors(f"{name}/{inner}"):
                    if not _unlinked(inner, directory):
                        self._move_up(inner, directory)

    def _move_up(self, name: str, directory: int) -> None:
        moved = next(self._unused_names)
        with _opened(name, directory):  # moving a directory needs write permission in it
            os.rename(name, moved, src_dir_fd=directory, dst_dir_fd=self.fd)
        self._waiting.append(moved)

    @contextmanager
    def _noting_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._stuck.append(f"{name!r}: {error.strerror}")


def _names(prefix: str) -> Iterator[str]:
    return (f"{prefix}.{number}" for number in itertools.count())


def _unlinked(name: str, directory: int) -> bool:
    """False if it is a directory."""
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        return False
    return True


@contextmanager
def _opened(name: str, directory: int | None = None) -> Iterator[int]:
    """Open a directory after giving its owner all permissions; does not follow a link."""
    path_fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        with suppress(PermissionError):  # it belongs to another user; its permissions may suffice
            os.chmod(f"/proc/self/fd/{path_fd}", 0o700)  # noqa: PTH101 - the descriptor of a path that cannot be read
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=path_fd)
    finally:
        os.close(path_fd)
    try:
        yield fd
    finally:
        os.close(fd)
