"""What an executor has on disk: its own directory, with a lock that says whether the executor lives."""

from __future__ import annotations

import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from executors.orphans import kill_attempts_in
from executors.places import Places
from executors.removal import remove_tree
from schemas.ids import ExecutorId

_LOCK = "lock"
_END_SECONDS = 5.0
"""What is killed may take so long to die; then its directory is removed all the same."""
_LOOK_SECONDS = 0.02
_THREADS = 4


class Workspace:
    """Holds a lock as long as the process lives, so that the next executor knows what it may clear away."""

    def __init__(self, directory: Path, executor_id: ExecutorId, *, cache_dir: Path, places: int) -> None:
        """`places` is how many attempts there can be at a time."""
        directory.mkdir(parents=True, exist_ok=True)
        _clear_dead(directory, cache_dir)
        self._directory = directory / executor_id
        self._directory.mkdir()
        # Whoever finds a lock finds it taken: others may start, and clear, at this moment.
        new = self._directory / f"{_LOCK}.new"
        self._lock = os.open(new, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(self._directory / _LOCK)
        self.places = Places(self._directory, ThreadPoolExecutor(_THREADS, "places"), spare=places)

    def close(self) -> None:
        self.places.close()
        remove_tree(self._directory)
        os.close(self._lock)


def _clear_dead(directory: Path, cache_dir: Path) -> None:
    """Remove what executors left that were killed: first processes without a supervisor (protocol L9)."""
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
