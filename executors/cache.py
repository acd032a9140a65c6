"""The files of cached executables: named by their SHA-256, bounded in size, evicted least recently used first."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter, OrderedDict
from contextlib import suppress
from pathlib import Path

_MODE = 0o555


class Cache:
    """Several executors may share the directory. Call everything except `verify` from one thread."""

    def __init__(self, directory: Path, *, max_bytes: int, scratch_prefix: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.max_bytes = max_bytes
        self._directory, self._scratch_prefix = directory, scratch_prefix
        self._sizes: OrderedDict[str, int] = OrderedDict()
        """Each file's size, least recently used first."""
        self._verified: set[str] = set()
        """Files whose hash was checked: a file that an earlier process left may be damaged."""
        self._pinned: Counter[str] = Counter()
        self._bytes = 0
        """The size of all files together."""
        for _, name, size in sorted(_files(directory)):
            self._count(name, size)

    def holds(self, sha256: str) -> bool:
        return sha256 in self._verified and self._path(sha256).exists()

    def use(self, sha256: str) -> Path:
        self._sizes.move_to_end(sha256)
        return self._path(sha256)

    def pin(self, sha256: str) -> str:
        """Prevent eviction until `unpin` is called as often as `pin`."""
        self._pinned[sha256] += 1
        return sha256

    def unpin(self, sha256: str) -> None:
        self._pinned[sha256] -= 1
        self._pinned += Counter()  # drops entries with count 0

    def verify(self, sha256: str) -> bool:
        """Read the whole file and compare its hash; remove it if it is damaged."""
        path = self._path(sha256)
        try:
            with open(path, "rb", opener=_open_without_blocking) as file:
                is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                right = is_file and hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:  # evicted, or not a file
            return False
        if not right:
            path.unlink(missing_ok=True)
        return right

    def scratch(self, number: int) -> Path:
        """A path to download to; its name never looks like an executable's."""
        return self._directory / f"{self._scratch_prefix}.{number}"

    def adopt(self, file: Path, sha256: str) -> None:
        """Move a verified file into the cache, and evict others to make room."""
        file.chmod(_MODE)
        file.rename(self._path(sha256))
        self.admit(sha256)

    def admit(self, sha256: str) -> None:
        self._count(sha256, self._path(sha256).stat().st_size)
        self._verified.add(sha256)
        self._evict()

    def _count(self, sha256: str, size: int) -> None:
        self._bytes += size - self._sizes.pop(sha256, 0)
        self._sizes[sha256] = size

    def _evict(self) -> None:
        for sha256 in self._victims():
            with suppress(OSError):  # gone, or not a file: the attempt that needs room goes on
                self._path(sha256).unlink()
            self._verified.discard(sha256)
            self._bytes -= self._sizes.pop(sha256)

    def _victims(self) -> list[str]:
        """The least recently used files to evict; never the newest, and none in use."""
        excess, newest = self._bytes - self.max_bytes, next(reversed(self._sizes))
        victims: list[str] = []
        for sha256, size in self._sizes.items():
            if excess <= 0 or sha256 == newest:
                break
            if not self._in_use(sha256):
                victims.append(sha256)
                excess -= size
        return victims

    def _in_use(self, sha256: str) -> bool:
        """A fetch pinned it, or an attempt has a hard link to it."""
        if self._pinned[sha256]:
            return True
        try:
            return self._path(sha256).stat().st_nlink > 1
        except FileNotFoundError:
            return False

    def _path(self, sha256: str) -> Path:
        return self._directory / sha256


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _files(directory: Path) -> list[tuple[float, str, int]]:
    """Their times, names and sizes; other executors may evict some meanwhile."""
    found = []
    for each in directory.iterdir():
        with suppress(FileNotFoundError):
            status = each.lstat()
            if len(each.name) == hashlib.sha256().digest_size * 2 and stat.S_ISREG(status.st_mode):
                found.append((status.st_mtime, each.name, status.st_size))
    return found
