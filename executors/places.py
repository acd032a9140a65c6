"""The directories in which attempts run: used again while a run leaves them as they were, replaced where it does not.

Making four directories for each run costs more than everything else that an executor does for it: ext4 does not give an
inode out again that was freed within the last minute, so a new directory is the slower, the more runs have ended.
A place that is used again gets a new path, so no path of an attempt is ever another attempt's.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from executors.removal import remove_tree

_LOG = structlog.get_logger()
_SURVIVORS_SECONDS = 2.0
"""The supervisor has found and killed by then what outlived its attempt: what that wrote is removed once, after it."""
_BIN, _WORK, _CHECKPOINT, _RESULT = _PARTS = ("bin", "work", "checkpoint", "result")
_ELSEWHERE = (errno.EXDEV, errno.EPERM, errno.EMLINK)
"""A hard link to the executable is not possible."""

_Look = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one attempt runs."""

    directory: Path
    executable: Path

    @property
    def cwd(self) -> Path:
        return self.directory / _WORK

    @property
    def checkpoint(self) -> Path:
        """The process finds here what an earlier attempt left, and leaves what a later one is to find."""
        return self.directory / _CHECKPOINT

    @property
    def result(self) -> Path:
        """What the process hands on, if it writes this file. It has a directory of its own, which is replaced then."""
        return self.directory / _RESULT / "json"

    def new_bundle(self) -> Path:
        """For the checkpoint as one file, on its way from or to S3: what the process makes is not in its place."""
        return self.directory / f"bundle.{secrets.token_hex(8)}"

    @property
    def has_checkpoint(self) -> bool:
        """Whether anything lies there; what is no directory any more is something, too."""
        try:
            with os.scandir(self.checkpoint) as entries:
                return any(entries)
        except FileNotFoundError:
            return False
        except OSError:
            return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seat:
    """The directories of a place, and how they looked before an attempt could touch them."""

    directory: str
    look: _Look
    looks: tuple[_Look, ...]
    """In the order of `_PARTS`."""


class Places:
    """Used from the event loop. What takes time happens in threads: to remove what is there, and to replace it."""

    def __init__(self, directory: Path, threads: ThreadPoolExecutor, *, spare: int) -> None:
        """At most `spare` places wait to be used again: as many as there can be attempts at a time."""
        self._directory, self._threads, self._spare = directory, threads, spare
        self._numbers = itertools.count(1)
        self._free: list[_Seat] = []
        self._taken: dict[Path, _Seat] = {}

    def take(self, executable: Path, name: str) -> Place:
        """The link keeps the executable from being evicted, and gives the process a name that people know."""
        if self._free:
            with suppress(OSError):  # something removed or changed it while it was free: a new one serves
                return self._furnish(self._free.pop(), executable, name)
        return self._furnish(self._make(), executable, name)

    def give_back(self, place: Place) -> None:
        """No process of its attempt is left. What the attempt touched is replaced."""
        seat = self._taken.pop(place.directory)
        try:
            place.executable.unlink(missing_ok=True)
            is_whole = _look(seat.directory) == seat.look
            moved = self._move(seat)
            is_whole = is_whole and set(os.listdir(moved)) == set(_PARTS)  # noqa: PTH208 - names are enough
            touched = [name for name, look in zip(_PARTS, seat.looks, strict=True) if _is_touched(moved, name, look)]
            look = _look(moved)
        except OSError:  # it is not there any more, or not as it was
            self._replace(seat.directory)
            return
        if not is_whole or len(self._free) >= self._spare:
            self._replace(moved)
        elif touched:
            self._in_thread(self._renew, moved, touched)
        else:
            self._free.append(_Seat(directory=moved, look=look, looks=seat.looks))

    def set_aside(self, place: Place) -> None:
        """A process of its attempt may be left, and may write: another place serves in its stead."""
        del self._taken[place.directory]
        self._in_thread(self._make_spare)
        asyncio.get_running_loop().call_later(_SURVIVORS_SECONDS, self._in_thread, remove_tree, place.directory)

    def close(self) -> None:
        """After this nothing is made or removed any more."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _furnish(self, seat: _Seat, executable: Path, name: str) -> Place:
        place = Place(directory=Path(seat.directory), executable=Path(seat.directory, _BIN, name))
        try:
            _link(place.executable, executable)
        except OSError:
            self._in_thread(remove_tree, place.directory)
            raise
        self._taken[place.directory] = seat
        return place

    def _move(self, seat: _Seat) -> str:
        """From now on nothing finds it by the path that its attempt knew."""
        moved = self._new_path()
        os.rename(seat.directory, moved)  # noqa: PTH104 - once for each run
        return moved

    def _new_path(self) -> str:
        return f"{self._directory}/{next(self._numbers)}"

    def _make(self) -> _Seat:
        directory = self._new_path()
        for path in (directory, *(f"{directory}/{name}" for name in _PARTS)):
            os.mkdir(path)  # noqa: PTH102 - once for each new place
        return _seat(directory)

    # In threads

    def _in_thread(self, function: Callable[..., None], *values: object) -> None:
        with suppress(RuntimeError):  # no thread can be started, or all is closed: what stays goes with the executor
            self._threads.submit(function, *values)

    def _replace(self, directory: str) -> None:
        self._in_thread(self._make_spare)
        self._in_thread(remove_tree, Path(directory))

    def _make_spare(self) -> None:
        if len(self._free) >= self._spare:
            return
        try:
            self._free.append(self._make())
        except OSError as error:
            _LOG.warning("no directory made", directory=str(self._directory), reason=str(error))

    def _renew(self, directory: str, touched: list[str]) -> None:
        try:
            for name in touched:
                remove_tree(Path(directory, name))
                os.mkdir(f"{directory}/{name}")  # noqa: PTH102 - as in `_make`
            self._free.append(_seat(directory))
        except OSError:  # something could not be removed: `remove_tree` has said what
            remove_tree(Path(directory))


def _seat(directory: str) -> _Seat:
    looks = tuple(_look(f"{directory}/{name}") for name in _PARTS)
    return _Seat(directory=directory, look=_look(directory), looks=looks)


def _look(path: str) -> _Look:
    """Changes with every entry, mode, owner, attribute and flag of a directory. The time of the last change is last."""
    found = os.lstat(path)
    return found.st_dev, found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_ctime_ns


def _is_touched(directory: str, name: str, before: _Look) -> bool:
    """An entry counts also where the clock of the file system is too coarse to show it."""
    path = f"{directory}/{name}"
    now = _look(path)
    is_same = now[:-1] == before[:-1] if name == _BIN else now == before  # the link to the executable came, and went
    return not is_same or bool(os.listdir(path))  # noqa: PTH208 - names are enough


def _link(link: Path, executable: Path) -> None:
    try:
        link.hardlink_to(executable)
    except OSError as error:
        if error.errno not in _ELSEWHERE:
            raise
        link.symlink_to(executable)
