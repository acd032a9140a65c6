"""The directory of one executor, with a lock that shows whether the executor is alive."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from executors.attempt_dirs import PASSED_MODE, AttemptDirs
from executors.orphans import kill_attempts_in
from executors.removal import remove_tree
from executors.sandbox.users import Users
from executors.threads import started_pool
from schemas.ids import ExecutorId

_LOCK = "lock"
_END_SECONDS = 5.0
"""Wait at most so long for killed processes to end before removing their directory."""
_CLEAR_SECONDS = 60.0
"""The directory of one dead executor delays the start by at most this time; the next start continues."""
_CHECK_SECONDS = 0.02
_THREADS = 4


class Workspace:
    """Holds a lock as long as the process lives; the next executor removes the directories without a held lock."""

    def __init__(
        self,
        directory: Path,
        executor_id: ExecutorId,
        *,
        cache_dir: Path,
        spare_dirs: int,
        users: Users | None = None,
    ) -> None:
        """`spare_dirs` is the maximum of attempts at the same time; `users` are for them."""
        directory.mkdir(parents=True, exist_ok=True)
        _clear_dead(directory, cache_dir)
        self.directory = directory / executor_id
        self._lock = _make_locked(self.directory)
        threads = started_pool(_THREADS, "attempt-dirs")
        self.attempt_dirs = AttemptDirs(self.directory, threads, spare=spare_dirs, users=users)

    def make_if_missing(self) -> None:
        """Make the directory anew after somebody removed it. Raises `OSError`."""
        if not (self.directory / _LOCK).exists():
            lock = _make_locked(self.directory)
            os.close(self._lock)
            self._lock = lock

    def close(self) -> None:
        self.attempt_dirs.close()
        _remove(self.directory, _END_SECONDS)
        os.close(self._lock)


def _make_locked(directory: Path) -> int:
    """Lock the file before it gets its name: another executor may start now and remove directories with free locks."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(PASSED_MODE)
    new = directory / f"{_LOCK}.new"
    lock = os.open(new, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    new.rename(directory / _LOCK)
    return lock


def _clear_dead(directory: Path, cache_dir: Path) -> None:
    """Remove the directories of dead executors; first kill the processes that they left (protocol L9)."""
    for lock in directory.glob(f"*/{_LOCK}"):
        if _is_free(lock):
            _end_attempts(lock.parent)
            _remove(lock.parent, _CLEAR_SECONDS)
            for partial in cache_dir.glob(f"{lock.parent.name}.*"):
                partial.unlink(missing_ok=True)


def _remove(directory: Path, seconds: float) -> None:
    """What is left has a free lock again, so the next executor that starts removes it."""
    if not remove_tree(directory, seconds):
        with suppress(OSError):
            (directory / _LOCK).touch()


def _is_free(lock: Path) -> bool:
    """Whether the lock's executor is dead. It stays dead, because no two executors have the same id."""
    try:
        with lock.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):  # held, or removed by another executor that starts
        return False
    return True


def _end_attempts(directory: Path) -> None:
    until = time.monotonic() + _END_SECONDS
    while kill_attempts_in(str(directory)) and time.monotonic() < until:
        time.sleep(_CHECK_SECONDS)
