"""The directories in which attempts run: reused if the attempt left them unchanged, replaced if it changed them.

Making four directories for each run costs more than everything else that an executor does for a run: ext4 does not
reuse an inode that was freed within the last minute, so making a directory gets slower as more runs end.
A reused directory gets a new path, so two attempts never see the same path.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import structlog

from executors.removal import remove_tree
from executors.sandbox.users import NoUserError, User, Users

_LOG = structlog.get_logger()
_DISCARD_SECONDS = 2.0
"""Remove a discarded directory after this time: by then the writer may have ended."""
_TRIES = 3
"""How often to remove a directory that processes fill meanwhile; the next executor removes the rest."""
_BIN, _WORK, _CHECKPOINT, _RESULT = PARTS = ("bin", "work", "checkpoint", "result")
PASSED_MODE, _BIN_MODE, _OWN_MODE = 0o711, 0o755, 0o700
"""Of the directory, of `_BIN` and of the other parts. With a user of its own, an attempt owns only the last."""
_ELSEWHERE = (errno.EXDEV, errno.EPERM, errno.EMLINK)
"""A hard link to the executable is not possible."""

_Stat = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDir:
    """The directory in which one attempt runs."""

    path: Path
    executable: Path
    user: User | None = None
    """The user that owns what the process may write, and that it should run as; None: the executor's."""
    parts: tuple[tuple[int, int], ...] = ()
    """Device and inode of each of `PARTS`, which stay until the attempt starts; empty: somebody has to look."""

    @property
    def cwd(self) -> Path:
        return self.path / _WORK

    @property
    def checkpoint(self) -> Path:
        """The process reads an earlier attempt's checkpoint here, and writes the one for the next attempt."""
        return self.path / _CHECKPOINT

    @property
    def result(self) -> Path:
        """The process may write its result to this file. A directory that holds nothing else is cheap to replace."""
        return self.path / _RESULT / "json"

    @property
    def owner(self) -> int:
        """The user id of what the process makes."""
        return self.user.id if self.user else os.geteuid()

    def empty_checkpoint(self) -> None:
        """Before the process starts."""
        remove_tree(self.checkpoint)
        with suppress(FileExistsError):
            _make_part(str(self.path), _CHECKPOINT, self.user)

    def new_bundle(self) -> Path:
        """A path for the checkpoint as one file, between S3 and disk; random, so that the process cannot occupy it."""
        return self.path / f"bundle.{secrets.token_hex(8)}"

    @property
    def has_checkpoint(self) -> bool:
        """Whether the process left anything there. A path that is no longer a directory counts, too."""
        try:
            with os.scandir(self.checkpoint) as entries:
                return any(entries)
        except FileNotFoundError:
            return False
        except OSError:
            return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    """An attempt directory and its parts, with their `lstat` before an attempt could change them."""

    path: str
    stat: _Stat
    part_stats: tuple[_Stat, ...]
    """In the order of `PARTS`."""
    user: User | None


class AttemptDirs:
    """Used from the event loop. Removing and replacing directories is slow, so threads do it."""

    def __init__(self, parent: Path, threads: ThreadPoolExecutor, *, spare: int, users: Users | None = None) -> None:
        """Keep at most `spare` free directories: one for each attempt that can run at the same time.

        A directory has one of `users` until it is removed. After a `discard` no other directory gets this user.
        """
        self._parent, self._threads, self._spare, self._users = parent, threads, spare, users
        self._numbers = itertools.count(1)
        self._free: list[_Snapshot] = []
        self._taken: dict[Path, _Snapshot] = {}
        self._closing = threading.Event()

    def take(self, executable: Path, name: str) -> AttemptDir:
        """The link prevents the executable's eviction from the cache, and gives the process a readable name.

        Raises `OSError` or `NoUserError`.
        """
        if self._free:
            with suppress(OSError):  # something removed or changed it while it was free: make a new one
                return self._assign(self._free.pop(), executable, name)
        return self._assign(self._make(), executable, name)

    def release(self, directory: AttemptDir) -> None:
        """Call this if no process of the attempt can be left. Parts that the attempt changed are replaced."""
        before = self._taken.pop(directory.path)
        try:
            is_whole = _stat(before.path) == before.stat
            path = self._rename(before)
            if _stat(f"{path}/{_BIN}")[:-1] == before.part_stats[0][:-1]:  # not a link to somewhere else
                Path(path, _BIN, directory.executable.name).unlink(missing_ok=True)
            is_whole = is_whole and _first_names(path) == set(PARTS)
            parts = zip(PARTS, before.part_stats, strict=True)
            changed = [name for name, stat in parts if _is_changed(path, name, stat)]
            stat = _stat(path)
        except OSError:  # the attempt removed it or changed its kind
            self._replace(before.path, before.user)
            return
        if not is_whole or len(self._free) >= self._spare:
            self._replace(path, before.user)
        elif changed:
            self._in_thread(self._replace_parts, path, changed, before.user)
        else:
            self._free.append(_Snapshot(path=path, stat=stat, part_stats=before.part_stats, user=before.user))

    def discard(self, directory: AttemptDir) -> None:
        """Call this if something may still write into the directory: replace it, remove it later."""
        del self._taken[directory.path]
        self._in_thread(self._make_spare)
        asyncio.get_running_loop().call_later(_DISCARD_SECONDS, self.remove, directory.path)

    def remove(self, path: Path, user: User | None = None) -> None:
        """Others may have the user after that."""
        self._in_thread(self._remove, path, user, _TRIES)

    def close(self) -> None:
        """Wait for the threads; they make and remove nothing after this."""
        self._closing.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _assign(self, snapshot: _Snapshot, executable: Path, name: str) -> AttemptDir:
        path, user = Path(snapshot.path), snapshot.user
        parts = tuple((device, inode) for device, inode, *_ in snapshot.part_stats)
        directory = AttemptDir(path=path, executable=path / _BIN / name, user=user, parts=parts)
        try:
            _link(directory.executable, executable)
        except OSError:
            self.remove(path, user)
            raise
        self._taken[directory.path] = snapshot
        return directory

    def _rename(self, snapshot: _Snapshot) -> str:
        """After this the path that the attempt knew is invalid."""
        path = self._new_path()
        os.rename(snapshot.path, path)  # noqa: PTH104 - once for each run
        return path

    def _new_path(self) -> str:
        return f"{self._parent}/{next(self._numbers)}"

    def _make(self) -> _Snapshot:
        user = self._users.take() if self._users else None
        directory = self._new_path()
        os.mkdir(directory)  # noqa: PTH102 - faster than pathlib
        os.chmod(directory, PASSED_MODE)  # noqa: PTH101 - whatever the umask is
        for name in PARTS:
            _make_part(directory, name, user)
        return _snapshot(directory, user)

    # In threads

    def _in_thread(self, function: Callable[..., None], *values: object) -> None:
        with suppress(RuntimeError):  # no thread can start, or the pool is closed: the workspace removes the rest
            self._threads.submit(function, *values)

    def _remove(self, path: Path, user: User | None, tries: int) -> None:
        """A directory that processes fill meanwhile waits behind the others before the next try."""
        if remove_tree(path, stop=self._closing):
            if self._users and user:
                self._users.give_back(user)
        elif tries > 1 and not self._closing.is_set():
            self._in_thread(self._remove, path, user, tries - 1)

    def _replace(self, path: str, user: User | None) -> None:
        self._in_thread(self._make_spare)
        self.remove(Path(path), user)

    def _make_spare(self) -> None:
        if len(self._free) >= self._spare:
            return
        try:
            self._free.append(self._make())
        except (OSError, NoUserError) as error:
            _LOG.warning("no directory made", directory=str(self._parent), reason=str(error))

    def _replace_parts(self, path: str, names: list[str], user: User | None) -> None:
        try:
            for name in names:
                remove_tree(Path(path, name), stop=self._closing)
                _make_part(path, name, user)
            self._free.append(_snapshot(path, user))
        except OSError:  # `remove_tree` has logged what it could not remove
            self._remove(Path(path), user, _TRIES)


def _make_part(directory: str, name: str, user: User | None) -> None:
    path = f"{directory}/{name}"
    os.mkdir(path, _OWN_MODE)  # noqa: PTH102 - faster than pathlib
    if name == _BIN:
        os.chmod(path, _BIN_MODE)  # noqa: PTH101 - whatever the umask is
    elif user:
        os.chown(path, user.id, user.id)


def _snapshot(path: str, user: User | None) -> _Snapshot:
    part_stats = tuple(_stat(f"{path}/{name}") for name in PARTS)
    return _Snapshot(path=path, stat=_stat(path), part_stats=part_stats, user=user)


def _stat(path: str) -> _Stat:
    """The change time, which comes last, changes with every entry, mode, owner, attribute and flag of a directory."""
    found = os.lstat(path)
    return found.st_dev, found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_ctime_ns


def _is_changed(directory: str, name: str, before: _Stat) -> bool:
    """Entries are listed as well, because the file system's clock may be too coarse to show a change."""
    path = f"{directory}/{name}"
    now = _stat(path)
    # The link to the executable was added to and removed from `_BIN`, so its change time is ignored.
    is_same = now[:-1] == before[:-1] if name == _BIN else now == before
    return not is_same or bool(_first_names(path))


def _first_names(directory: str) -> set[str]:
    """More than there are parts tell enough: an attempt may have left millions."""
    with os.scandir(directory) as entries:
        return {each.name for each in islice(entries, len(PARTS) + 1)}


def _link(link: Path, executable: Path) -> None:
    try:
        link.hardlink_to(executable)
    except OSError as error:
        if error.errno not in _ELSEWHERE:
            raise
        link.symlink_to(executable)
