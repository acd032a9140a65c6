"""Measures what attempts have written, in turns: a turn looks at a bounded number of files, and the next one goes on.

An entry of a directory counts as the space that the file system gave it, and as at least 4 KB: files without content
take inodes and time. A file with several names counts once if all of them are here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

ENTRIES_PER_TURN = 20_000
"""About 50 ms."""
MOST_ENTRIES = 1_000_000
"""More could not be measured often enough, and the directories that are still to be measured take memory."""
_LEAST_BYTES = 4_096
_BLOCK_BYTES = 512
"""The unit of `st_blocks`, on every file system."""
_READABLE = 0o500


class Measurement:
    """Of one attempt. Used by one thread at a time; close it."""

    def __init__(
        self,
        directories: Iterable[Path],
        limit: int,
        count_deleted: Callable[[], int] = int,
        *,
        known: Iterable[Path] = (),
    ) -> None:
        """`count_deleted` returns the bytes of files that are deleted and still open.

        A directory of `known` counts only if it is one of `directories`.
        """
        self._known = frozenset(map(str, known))
        self._directories, self._limit, self._count_deleted = [str(each) for each in directories], limit, count_deleted
        self._walk: Iterator[int] = iter(())
        self._bytes = self._entries = 0
        self._is_new = True

    def turn(self) -> bool:
        """Look at the next files; true if all that are seen in this round have more than the limit, or are too many."""
        if self._is_new:
            self._walk, self._bytes, self._entries = _sizes(self._directories, self._known), self._count_deleted(), 0
        found = list(islice(self._walk, ENTRIES_PER_TURN))
        self._bytes += sum(found)
        self._entries += len(found)
        self._is_new = len(found) < ENTRIES_PER_TURN
        return self._bytes > self._limit or self._entries > MOST_ENTRIES

    def has_reached(self) -> bool:
        """Whether the files, up to one turn of them, have as much as the limit. For the end of an attempt: a process
        that does not die of SIGXFSZ leaves a file of exactly this size.
        """
        return sum(islice(_sizes(self._directories, self._known), ENTRIES_PER_TURN)) >= self._limit


def _sizes(directories: Iterable[str], known: Collection[str]) -> Iterator[int]:
    """Of each entry at any depth. Processes change all of it meanwhile: what has gone counts as nothing."""
    for top in directories:
        with suppress(FileNotFoundError, NotADirectoryError):
            pending = [(top, os.lstat(top).st_ino)]
            while pending:
                for name, inode, size in _entries(*pending.pop()):
                    if name in known:
                        continue
                    yield size
                    if inode:
                        pending.append((name, inode))


def _entries(directory: str, inode: int) -> Iterator[tuple[str, int, int]]:
    """The path of each entry, its inode if it is a directory, else 0, and the bytes that it takes."""
    try:
        with _opened(directory, inode) as fd, os.scandir(fd) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    size = max(found.st_blocks * _BLOCK_BYTES, _LEAST_BYTES)
                    if stat.S_ISDIR(found.st_mode):
                        yield f"{directory}/{entry.name}", found.st_ino, size
                    else:
                        yield "", 0, size // max(found.st_nlink, 1)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # nobody needs this, and it cannot be measured
            yield "", 0, 2**63


@contextmanager
def _opened(directory: str, inode: int) -> Iterator[int]:
    """Raises `OSError` if it is no longer the directory that was found: no link leads out of the attempt."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(directory, flags)
    except PermissionError:
        path_fd = os.open(directory, flags | os.O_PATH)
        try:
            os.chmod(f"/proc/self/fd/{path_fd}", os.fstat(path_fd).st_mode | _READABLE)  # noqa: PTH101 - a descriptor
            fd = os.open(".", flags, dir_fd=path_fd)
        finally:
            os.close(path_fd)
    try:
        if os.fstat(fd).st_ino != inode:
            raise FileNotFoundError(errno.ENOENT, "another directory has taken its place")
        yield fd
    finally:
        os.close(fd)
