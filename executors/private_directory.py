"""Makes a directory that only this user may change, or says why an existing one is not safe to use."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from schemas.errors import TidemillError

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UnsafeDirectoryError(TidemillError):
    """Another user may change the directory, or put another one in its place."""


def make_private(directory: Path, mode: int, setting: str) -> None:
    """Make it with this mode, or give it this mode. `setting` is the variable that names it, for the message.

    An existing one must not be a link, must belong to this user and, unless it is empty, be writable for no other user.
    Raises `UnsafeDirectoryError`, or `OSError` if it cannot be made.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        _check(directory, setting)
    directory.chmod(mode)


def _check(directory: Path, setting: str) -> None:
    found, ours = directory.lstat(), os.geteuid()
    problem = None
    if stat.S_ISLNK(found.st_mode):
        problem = "is a symbolic link: name the directory itself"
    elif not stat.S_ISDIR(found.st_mode):
        problem = "is not a directory"
    elif found.st_uid != ours:
        problem = f"belongs to user {found.st_uid}, and this process is user {ours}: name a directory of its own"
    elif found.st_mode & _OTHERS_MAY_WRITE and any(directory.iterdir()):
        problem = "holds files, and other users may write into it: look at them, then remove it"
    if problem:
        raise UnsafeDirectoryError(f"{setting} is {directory}, which {problem}")
