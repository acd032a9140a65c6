"""Removes the files that a process left, at any depth and with any permissions."""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import structlog

_LOG = structlog.get_logger()
_SHOWN = 5
LONGEST_SECONDS = 60.0
"""Long enough for a million files; other directories wait for the same threads."""


class _StoppedError(OSError):
    """Its time is over: a process may fill the directory."""

    def __str__(self) -> str:
        return "it was still not empty when the time was over"


def remove_tree(directory: Path, seconds: float = LONGEST_SECONDS, stop: Event | None = None) -> bool:
    """Whether it is gone. Ends after so many seconds, or after `stop`, because a process may fill it meanwhile.

    What cannot be removed, for example because it belongs to another user, stays and is logged.
    """
    left: _Top | None = None
    try:
        with _opened(str(directory)) as fd:
            left = _Top(fd=fd, until=time.monotonic() + seconds, stop=stop or Event())
            left.clear()
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        stuck, count = (left.stuck, left.stuck_count) if left else ([], 0)
        _LOG.warning("not removed", directory=str(directory), reason=str(error), left=stuck, count=count)
        return False
    return True


@dataclass(slots=True, kw_only=True)
class _Top:
    """The directory to clear. It needs neither recursion nor long paths nor lists: before it removes a directory, it
    moves that directory's subdirectories up beside it, and finds them there in its next pass.
    """

    fd: int
    until: float
    stop: Event
    stuck: list[str] = field(default_factory=list)
    """The first of what the last pass could not remove, and why."""
    stuck_count: int = 0
    _unused_names: Iterator[str] = field(default_factory=lambda: _names(secrets.token_hex(8)))

    def clear(self) -> None:
        """Raises `_StoppedError`."""
        while self._removes_any():
            pass

    def _removes_any(self) -> bool:
        removed, self.stuck, self.stuck_count = 0, [], 0
        with os.scandir(self.fd) as entries:
            for entry in entries:
                with self._noting_errors(entry.name):
                    if not self._unlinked(entry.name, self.fd):
                        self._flatten(entry.name)
                        os.rmdir(entry.name, dir_fd=self.fd)
                    removed += 1
        return removed > 0

    def _flatten(self, name: str) -> None:
        with _opened(name, self.fd) as directory, os.scandir(directory) as entries:
            for inner in entries:
                with self._noting_errors(f"{name}/{inner.name}"):
                    if not self._unlinked(inner.name, directory):
                        self._move_up(inner.name, directory)

    def _move_up(self, name: str, directory: int) -> None:
        moved = next(self._unused_names)
        with _opened(name, directory):  # moving a directory needs write permission in it
            os.rename(name, moved, src_dir_fd=directory, dst_dir_fd=self.fd)

    @contextmanager
    def _noting_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except _StoppedError:
            raise
        except OSError as error:
            self.stuck_count += 1
            if len(self.stuck) < _SHOWN:
                self.stuck.append(f"{name!r}: {error.strerror}")

    def _unlinked(self, name: str, directory: int) -> bool:
        """False if it is a directory."""
        if time.monotonic() > self.until or self.stop.is_set():
            raise _StoppedError
        try:
            os.unlink(name, dir_fd=directory)
        except IsADirectoryError:
            return False
        return True


def _names(prefix: str) -> Iterator[str]:
    return (f"{prefix}.{number}" for number in itertools.count())


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
