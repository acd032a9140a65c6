"""The directories of attempts: one each, fresh, with a link to the binary beside it; removed with the attempt."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from executors.orphans import kill_attempts_in
from executors.removal import remove_tree
from schemas.ids import ExecutorId

_LOCK = "lock"
_END_SECONDS = 5.0
"""What is killed may take so long to die; then its directory is removed all the same."""
_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one attempt runs."""

    directory: Path
    binary: Path

    @property
    def cwd(self) -> Path:
        return self.directory / "work"

    @property
    def checkpoint(self) -> Path:
        """The process finds here what an earlier attempt left, and leaves what a later one is to find."""
        return self.directory / "checkpoint"

    @property
    def result(self) -> Path:
        """What the process hands on, if it writes this file."""
        return self.directory / "result"

    def new_bundle(self) -> Path:
        """For the same as one file, on its way from or to S3: what the process makes is not in its place."""
        return self.directory / f"bundle.{secrets.token_hex(8)}"


class Workspace:
    """Holds a lock as long as the process lives, so that the next executor knows what it may clear away."""

    def __init__(self, directory: Path, executor_id: ExecutorId, *, cache_dir: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        _clear_dead(directory, cache_dir)
        self._directory = directory / executor_id
        self._directory.mkdir()
        # Whoever finds a lock finds it taken: others may start, and clear, at this moment.
        new = self._directory / f"{_LOCK}.new"
        self._lock = os.open(new, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(self._directory / _LOCK)

    def prepare(self, number: int, binary: Path, name: str) -> Place:
        """The link keeps the binary from being evicted, and gives the process a name that people know."""
        directory = self._directory / str(number)
        place = Place(directory=directory, binary=directory / "bin" / name)
        place.binary.parent.mkdir(parents=True)
        place.cwd.mkdir()
        place.checkpoint.mkdir()
        try:
            _link(place.binary, binary)
        except OSError:
            remove(place)
            raise
        return place

    def close(self) -> None:
        remove_tree(self._directory)
        os.close(self._lock)


def _link(link: Path, binary: Path) -> None:
    try:
        link.hardlink_to(binary)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        link.symlink_to(binary)


def has_checkpoint(place: Place) -> bool:
    """Whether anything lies there; what is no directory any more is something, too."""
    try:
        with os.scandir(place.checkpoint) as entries:
            return any(entries)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def remove_if_empty(place: Place) -> bool:
    """False if the process left something behind: removing that may take a while."""
    try:
        place.cwd.rmdir()
        place.checkpoint.rmdir()
        place.binary.unlink()
        place.binary.parent.rmdir()
        place.directory.rmdir()
    except OSError:
        return False
    return True


def remove(place: Place) -> None:
    remove_tree(place.directory)


def _clear_dead(directory: Path, cache_dir: Path) -> None:
    """Remove what executors left that were killed: processes first, which had no supervisor any more."""
    for lock in directory.glob(f"*/{_LOCK}"):
        if _is_free(lock):
            _end_attempts(lock.parent)
            remove_tree(lock.parent)
            for partial in cache_dir.glob(f"{lock.parent.name}.*"):
                partial.unlink(missing_ok=True)


def _is_free(lock: Path) -> bool:
    """Whether the executor is dead whose lock it is; it stays so, because no two have the same id."""
    try:
        with lock.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):  # held; or cleared by another one that starts
        return False
    return True


def _end_attempts(directory: Path) -> None:
    until = time.monotonic() + _END_SECONDS
    while kill_attempts_in(str(directory)) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
