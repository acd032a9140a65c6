"""Packs a directory into one tar file and unpacks it: bounded in size, without links that lead outside."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from schemas.errors import TidemillError

MAX_BYTES = 64 * 1024**2
"""Limit for the content of all files together."""
MAX_ENTRIES = 10_000
"""Limit for files and directories: each costs a header, and time to make."""
_ENTRY_BYTES = 4096
"""An entry's maximum overhead: its header, the header of a long name, and two paddings."""
MAX_FILE_BYTES = MAX_BYTES + (MAX_ENTRIES + 1) * _ENTRY_BYTES
_KINDS = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)


class BundleError(TidemillError):
    """A directory cannot be packed, or a bundle cannot be unpacked."""


def pack(directory: Path, bundle: Path) -> None:
    """Write a new file. Raises `BundleError`."""
    try:
        paths = _checked(directory)
        with tarfile.open(bundle, "x") as tar:
            for path in paths:
                name = str(path.relative_to(directory))
                tar.add(path, arcname=name, recursive=False, filter=lambda member: _check_member(member, directory))
    except BundleError:
        raise
    except Exception as error:  # the job chooses links and names: they must not crash the executor
        raise BundleError(f"it cannot be packed: {error}") from error


def unpack(bundle: Path, directory: Path) -> None:
    """Unpack into an empty directory; after an error its content is incomplete. Raises `BundleError`."""
    try:
        with tarfile.open(bundle, "r:") as tar:
            members = list(islice(tar, MAX_ENTRIES + 1))
            _check_size(len(members), sum(each.size for each in members))
            tar.extractall(directory, members, filter="data")
    except BundleError:
        raise
    except Exception as error:  # a damaged tar raises any exception: it must not crash the executor
        raise BundleError(f"it cannot be unpacked: {error}") from error


def _checked(directory: Path) -> list[Path]:
    """All entries of the directory, parents first. Raises `BundleError` for what cannot be packed."""
    paths: list[Path] = []
    size = 0
    if not stat.S_ISDIR(directory.lstat().st_mode):
        raise BundleError("it is not a directory")
    for path, found in _walk(directory):
        if not any(is_kind(found.st_mode) for is_kind in _KINDS):
            raise BundleError(f"{path.name!r} is neither a file, a directory nor a link")
        paths.append(path)
        size += found.st_size if stat.S_ISREG(found.st_mode) else 0
        _check_size(len(paths), size)
    return paths


def _walk(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Without recursion, because the job chooses the depth."""
    waiting = [directory]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                yield Path(entry.path), entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))


def _check_size(entries: int, size: int) -> None:
    if entries > MAX_ENTRIES:
        raise BundleError(f"it has more than {MAX_ENTRIES} files and directories")
    if size > MAX_BYTES:
        raise BundleError(f"it is larger than {MAX_BYTES // 1024**2} MB")


def _check_member(member: tarfile.TarInfo, directory: Path) -> tarfile.TarInfo:
    """Refuse to pack what `unpack` would refuse, for example a link that leads outside."""
    tarfile.data_filter(member, str(directory))
    return member
