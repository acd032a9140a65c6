"""A directory as one file, and back: bounded, and with nothing in it that leads outside."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from schemas.errors import TidemillError

MAX_BYTES = 64 * 1024**2
"""Of all files together."""
MAX_ENTRIES = 10_000
"""Files and directories: each costs a header, and time to make."""
_ENTRY_BYTES = 4096
"""What an entry takes beside its content, at most: its header, the one of a long name, and two paddings."""
MAX_FILE_BYTES = MAX_BYTES + (MAX_ENTRIES + 1) * _ENTRY_BYTES
_KINDS = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)


class BundleError(TidemillError):
    """A directory cannot be made a bundle, or a bundle cannot be made a directory."""


def pack(directory: Path, bundle: Path) -> None:
    """A new file. Raises `BundleError`."""
    try:
        paths = _checked(directory)
        with tarfile.open(bundle, "x") as tar:
            for path in paths:
                name = str(path.relative_to(directory))
                tar.add(path, arcname=name, recursive=False, filter=lambda member: _harmless(member, directory))
    except BundleError:
        raise
    except Exception as error:  # links and names are the job's choice, and no reason for an executor to end
        raise BundleError(f"it cannot be packed: {error}") from error


def unpack(bundle: Path, directory: Path) -> None:
    """Into an empty directory; what is there after a failure is of no use. Raises `BundleError`."""
    try:
        with tarfile.open(bundle, "r:") as tar:
            members = list(islice(tar, MAX_ENTRIES + 1))
            _check_size(len(members), sum(each.size for each in members))
            tar.extractall(directory, members, filter="data")
    except BundleError:
        raise
    except Exception as error:  # a damaged tar raises what it likes, and is no reason for an executor to end
        raise BundleError(f"it cannot be unpacked: {error}") from error


def _checked(directory: Path) -> list[Path]:
    """All that is in it, parents first."""
    paths: list[Path] = []
    size = 0
    if not stat.S_ISDIR(directory.lstat().st_mode):
        raise BundleError("it is no directory")
    for path, found in _walk(directory):
        if not any(is_kind(found.st_mode) for is_kind in _KINDS):
            raise BundleError(f"{path.name!r} is neither a file, a directory nor a link")
        paths.append(path)
        size += found.st_size if stat.S_ISREG(found.st_mode) else 0
        _check_size(len(paths), size)
    return paths


def _walk(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Without recursion: the depth is the job's choice."""
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


def _harmless(member: tarfile.TarInfo, directory: Path) -> tarfile.TarInfo:
    """What could not be unpacked is not packed: a link that leads outside, for one."""
    tarfile.data_filter(member, str(directory))
    return member
