"""The files of cached executables: named by their SHA-256, bounded in size, evicted least recently used first."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter, OrderedDict
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

_MODE = 0o555
Stamp = tuple[int, ...]
"""What changes with a file: its inode, size, modification time, mode and owner."""


def stamp_of(path: Path) -> Stamp | None:
    """Follows a link; None: there is no file."""
    try:
        return _stamp(path.stat())
    except OSError:
        return None


class Cache:
    """Executors of one user may share the directory. Call everything except `verify` from one thread.

    Its files belong to this user, or to root, and nobody may write them. A file that changed nevertheless is hashed
    again before it is used: a job without a sandbox may have written into it.
    """

    def __init__(self, directory: Path, *, max_bytes: int, scratch_prefix: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.max_bytes = max_bytes
        self._directory, self._scratch_prefix = directory, scratch_prefix
        self._sizes: OrderedDict[str, int] = OrderedDict()
        """Each file's size, least recently used first."""
        self._verified: dict[str, Stamp] = {}
        """Files whose hash was checked, as they were then."""
        self._pinned: Counter[str] = Counter()
        self._bytes = 0
        """The size of all files together."""
        for _, name, size in sorted(_files(directory)):
            self._count(name, size)

    def holds(self, sha256: str) -> bool:
        """Whether the file is there and unchanged since its hash was checked."""
        try:
            return self._verified.get(sha256) == _stamp(self._path(sha256).lstat())
        except OSError:
            return False

    def stamp(self, sha256: str) -> Stamp:
        return self._verified[sha256]

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

    def verify(self, sha256: str) -> Stamp | None:
        """Read the whole file, compare its hash, and repair its mode; remove it if it is damaged."""
        path = self._path(sha256)
        try:
            with open(path, "rb", opener=_open_without_blocking) as file:
                if stamp := _verified(file, sha256):
                    return stamp
        except OSError:  # evicted, or not a file
            return None
        path.unlink(missing_ok=True)
        return None

    def scratch(self, number: int) -> Path:
        """A path to download to; its name never looks like an executable's."""
        return self._directory / f"{self._scratch_prefix}.{number}"

    def adopt(self, file: Path, sha256: str) -> bool:
        """Move a verified file into the cache, and evict others to make room.

        False: another executor was faster. Its file stays, because it may be about to start it.
        """
        file.chmod(_MODE)
        path = self._path(sha256)
        try:
            os.link(file, path)  # `rename` would replace the other one's
        except FileExistsError:
            return False
        except OSError:  # this file system has no hard links
            file.rename(path)
        else:
            file.unlink()
        self.admit(sha256, _stamp(path.lstat()))
        return True

    def admit(self, sha256: str, stamp: Stamp) -> None:
        """`stamp` is what `verify` returned."""
        self._count(sha256, self._path(sha256).lstat().st_size)
        self._verified[sha256] = stamp
        self._evict()

    def _count(self, sha256: str, size: int) -> None:
        self._bytes += size - self._sizes.pop(sha256, 0)
        self._sizes[sha256] = size

    def _evict(self) -> None:
        for sha256 in self._victims():
            with suppress(OSError):  # gone, or not a file: the attempt that needs room goes on
                self._path(sha256).unlink()
            self._verified.pop(sha256, None)
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


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode, found.st_uid


def _verified(file: BufferedReader, sha256: str) -> Stamp | None:
    """Its stamp, if it has this hash and did not change while it was read."""
    before = os.fstat(file.fileno())
    if not stat.S_ISREG(before.st_mode) or before.st_uid not in (0, os.geteuid()):
        return None
    if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
        return None
    if stat.S_IMODE(before.st_mode) != _MODE:
        os.fchmod(file.fileno(), _MODE)
    after = os.fstat(file.fileno())
    is_same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    return _stamp(after) if is_same else None


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
