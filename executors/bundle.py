"""Packs a directory into one tar file and unpacks it: bounded in size, without links that lead outside."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO

from schemas.errors import TidemillError

MAX_BYTES = 64 * 1024**2
"""Limit for the content of all files together."""
MAX_ENTRIES = 10_000
"""Limit for files and directories: each costs a header, and time to make."""
_ENTRY_BYTES = 4096
"""An entry's maximum overhead: its header, the header of a long name, and two paddings."""
MAX_FILE_BYTES = MAX_BYTES + (MAX_ENTRIES + 1) * _ENTRY_BYTES
_OWN_MODE, _MODES = 0o700, 0o777
MAX_DEPTH = 100
"""Limit for directories in directories: each level holds an open file."""


class BundleError(TidemillError):
    """A directory cannot be packed, or a bundle cannot be unpacked."""


def pack(directory: Path, bundle: IO[bytes], owner: int) -> None:
    """Write a tar file of at most `MAX_FILE_BYTES`, also while processes change the directory. Raises `BundleError`.

    A file of another user than `owner` is refused: the job may have linked one that it must not read.
    """
    try:
        with tarfile.open(fileobj=bundle, mode="w") as tar, _opened(str(directory), None) as top:
            _Packing(tar, str(directory), owner).add_all(top, "", 0)
    except BundleError:
        raise
    except Exception as error:  # the job chooses links and names: they must not crash the executor
        raise BundleError(f"it cannot be packed: {error}") from error


def unpack(bundle: Path, directory: Path, owner: int | None = None) -> None:
    """Unpack into an empty directory, for the user and group `owner`; None: for this process's.

    After an error its content is incomplete. Raises `BundleError`.
    """
    try:
        with tarfile.open(bundle, "r:") as tar, _opened(str(directory), None) as top:
            members = list(islice(tar, MAX_ENTRIES + 1))
            _check_size(len(members), sum(each.size for each in members))
            unpacking = _Unpacking(tar, str(directory), top, owner)
            for member in members:
                unpacking.make(member)
            unpacking.finish()
    except BundleError:
        raise
    except Exception as error:  # a damaged tar raises any exception: it must not crash the executor
        raise BundleError(f"it cannot be unpacked: {error}") from error


class _Packing:
    """Counts what it adds. It opens entries below open directories: a link put there meanwhile is not followed."""

    def __init__(self, tar: tarfile.TarFile, directory: str, owner: int) -> None:
        self._tar, self._directory, self._owner = tar, directory, owner
        self._entries = self._bytes = 0

    def add_all(self, directory: int, prefix: str, depth: int) -> None:
        """Parents first."""
        if depth > MAX_DEPTH:
            raise BundleError(f"its directories are nested deeper than {MAX_DEPTH} levels")
        with os.scandir(directory) as entries:
            for entry in entries:
                self._entries += 1
                _check_size(self._entries, self._bytes)
                self._add(directory, entry.name, f"{prefix}{entry.name}", depth)

    def _add(self, directory: int, name: str, path: str, depth: int) -> None:
        kind = stat.S_IFMT(os.lstat(name, dir_fd=directory).st_mode)
        if kind == stat.S_IFLNK:
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=directory)
            self._tar.addfile(self._allowed(member))
        elif kind == stat.S_IFDIR:
            with _opened(name, directory) as inner:
                self._tar.addfile(self._described(inner, path))
                self.add_all(inner, f"{path}/", depth + 1)
        elif kind == stat.S_IFREG:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
                self._add_file(file, path)
        else:
            raise BundleError(f"{name!r} is neither a file, a directory nor a link")

    def _add_file(self, file: IO[bytes], path: str) -> None:
        """Of a file that grows meanwhile, as many bytes as were counted; a file that shrinks raises `OSError`."""
        member = self._described(file.fileno(), path)
        if not member.isreg():
            raise BundleError(f"{path!r} is not a file any more")
        self._bytes += member.size
        _check_size(self._entries, self._bytes)
        self._tar.addfile(member, file)

    def _described(self, fd: int, path: str) -> tarfile.TarInfo:
        found, member = os.fstat(fd), tarfile.TarInfo(path)
        if found.st_uid != self._owner:
            raise BundleError(f"{path!r} belongs to another user")
        member.mode, member.mtime = stat.S_IMODE(found.st_mode), found.st_mtime
        if stat.S_ISDIR(found.st_mode):
            member.type = tarfile.DIRTYPE
        elif stat.S_ISREG(found.st_mode):
            member.size = found.st_size
        else:
            member.type = tarfile.FIFOTYPE
        return self._allowed(member)

    def _allowed(self, member: tarfile.TarInfo) -> tarfile.TarInfo:
        """Refuse to pack what `unpack` would refuse, for example a link that leads outside."""
        tarfile.data_filter(member, self._directory)
        return member


class _Unpacking:
    """Makes files, directories and links below an open directory. It follows no link, and replaces nothing."""

    def __init__(self, tar: tarfile.TarFile, directory: str, top: int, owner: int | None) -> None:
        self._tar, self._directory, self._top = tar, directory, top
        self._owner = -1 if owner is None else owner
        self._directories: list[tarfile.TarInfo] = []

    def make(self, member: tarfile.TarInfo) -> None:
        member = tarfile.data_filter(member, self._directory)
        with self._parent_of(member) as (parent, name):
            if member.isdir():
                os.mkdir(name, _OWN_MODE, dir_fd=parent)
                self._directories.append(member)
            elif member.issym():
                os.symlink(member.linkname, name, dir_fd=parent)
            elif member.isreg():
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(name, flags, _OWN_MODE, dir_fd=parent), "wb") as file:
                    self._copy(member, file)
                    _finish(file.fileno(), member)
            else:
                raise BundleError(f"{member.name!r} is neither a file, a directory nor a symbolic link")
            os.chown(name, self._owner, self._owner, dir_fd=parent, follow_symlinks=False)

    def finish(self) -> None:
        """Set the modes and times of directories last: a mode may forbid new entries, and an entry sets the time."""
        for member in reversed(self._directories):
            with self._parent_of(member) as (parent, name), _opened(name, parent) as directory:
                _finish(directory, member)

    def _copy(self, member: tarfile.TarInfo, file: IO[bytes]) -> None:
        source = self._tar.extractfile(member)
        assert source is not None
        shutil.copyfileobj(source, file)
        if file.tell() != member.size:
            raise BundleError(f"it ends within {member.name!r}")
        file.flush()

    @contextmanager
    def _parent_of(self, member: tarfile.TarInfo) -> Iterator[tuple[int, str]]:
        """The open directory of an entry, and its name there."""
        *above, name = PurePosixPath(member.name).parts
        with ExitStack() as opened:
            parent = self._top
            for each in above:
                parent = opened.enter_context(_opened(each, parent))
            yield parent, name


def _finish(fd: int, member: tarfile.TarInfo) -> None:
    if member.mode is not None:  # the filter drops that of a directory
        os.fchmod(fd, member.mode & _MODES)
    os.utime(fd, (member.mtime, member.mtime))


@contextmanager
def _opened(name: str, directory: int | None) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=directory)
    except NotADirectoryError as error:
        raise BundleError("it is not a directory") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _check_size(entries: int, size: int) -> None:
    if entries > MAX_ENTRIES:
        raise BundleError(f"it has more than {MAX_ENTRIES} files and directories")
    if size > MAX_BYTES:
        raise BundleError(f"it is larger than {MAX_BYTES // 1024**2} MB")
