"""Copies of what attempts may see of /etc, in one directory: 50 mounts more triple the time that a sandbox needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_LOOK_AGAIN_SECONDS = 10.0
"""Copy a file of /etc again at most so long after it changed."""
_OPEN_TO_ALL = 0o755

_Stat = tuple[int, ...]


def make_open(top: Path, folder: Path) -> None:
    """Make a directory below `top` that every user may enter, as `top` and those between."""
    (top / folder).mkdir(parents=True, exist_ok=True)
    for each in (folder, *folder.parents):
        (top / each).chmod(_OPEN_TO_ALL)


class EtcCopies:
    """`refresh` it before a sandbox shows `directory` as /etc. What cannot be copied is absent there."""

    def __init__(self, directory: Path, paths: Iterable[str], clock: Callable[[], float], etc: str = "/etc") -> None:
        """`paths` are below /etc; a file keeps its mode, so what only its owner may read stays his."""
        self.directory, self._etc = directory, etc
        self._paths, self._clock = tuple(paths), clock
        self._copied: dict[str, _Stat | None] = {}
        self._looked = float("-inf")

    def refresh(self) -> None:
        """Look at all files after each 10 s, and copy those that changed. Raises `OSError`."""
        if not self.directory.exists():  # somebody removed it
            self._copied.clear()
        elif self._clock() - self._looked < _LOOK_AGAIN_SECONDS:
            return
        make_open(self.directory, Path())
        for path in self._paths:
            found = _stat(path)
            if self._copied.get(path) != found:
                self._replace(path)
                self._copied[path] = found
        self._looked = self._clock()

    def make_room(self, path: str, *, is_dir: bool) -> None:
        """A sandbox mounts something else at this path, which may not be below /etc."""
        if not Path(path).is_relative_to(self._etc):
            return
        name = Path(path).relative_to(self._etc)
        if is_dir:
            make_open(self.directory, name)
        else:
            make_open(self.directory, name.parent)
            (self.directory / name).touch(exist_ok=True)

    def _replace(self, path: str) -> None:
        """By renames, because attempts that run have the directory, too."""
        name = Path(path).relative_to(self._etc)
        new, old = self.directory.with_name("etc.new"), self.directory.with_name("etc.old")
        for each in (new, old):
            _remove(each)
        _copy(Path(path), new)
        make_open(self.directory, name.parent)
        with suppress(FileNotFoundError):
            (self.directory / name).rename(old)
        with suppress(FileNotFoundError):
            new.rename(self.directory / name)
        _remove(old)


def _stat(path: str) -> _Stat | None:
    """Of what a link leads to; None: it does not exist."""
    try:
        found = os.stat(path)  # noqa: PTH116 - fifty times
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _copy(source: Path, target: Path) -> None:
    """Links inside of a directory stay links. Some files may be unreadable, or of a kind that cannot be copied."""
    with suppress(OSError, shutil.Error):
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        elif source.is_file():
            shutil.copy2(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
