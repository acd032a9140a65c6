"""Looks whether an attempt could start now: the executor's directories, its disk, and a process that runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from executors.workspace import Workspace

_LEAST_BYTES = 32 * 1024**2
"""With less free space, a program that is fetched or a job that writes a little fails."""
_LEAST_INODES = 500
"""An attempt takes six, and its job may make some."""
_RECOVERY = 2
"""Low space is over when there is so many times as much: otherwise each file that comes and goes changes the verdict.
"""
_PROBE_SECONDS = 5.0


class Workplace:
    """`look` blocks: call it in a thread, one call at a time."""

    def __init__(self, workspace: Workspace, cache_dir: Path) -> None:
        self._workspace, self._cache_dir = workspace, cache_dir
        self._is_short = self._doubts_spawn = False

    def doubt_spawn(self) -> None:
        """The supervisor could not start a process. That may be the program's fault, so `look` starts another one."""
        self._doubts_spawn = True

    def look(self) -> str | None:
        """Why no attempt could start; None: one could. Makes anew what somebody removed."""
        return next(self._reasons(), None)

    def _reasons(self) -> Iterator[str]:
        directory, cache = self._workspace.directory, self._cache_dir
        yield from self._problems("work directory", directory, self._workspace.make_if_missing)
        yield from self._problems("cache", cache, lambda: cache.mkdir(parents=True, exist_ok=True))
        self._is_short = False
        if self._doubts_spawn and (reason := _why_no_process()):
            yield reason
        self._doubts_spawn = False

    def _problems(self, name: str, path: Path, make: Callable[[], None]) -> Iterator[str]:
        """The probe's name is one that the next executor removes if this one dies."""
        try:
            make()
            (path / f"{self._workspace.directory.name}.probe").write_bytes(b"1")
            found = os.statvfs(path)
        except OSError as error:
            yield f"the {name} {path} cannot be used: {error.strerror}"
            return
        if found.f_flag & os.ST_NOEXEC:
            yield f"the {name} {path} is mounted noexec, so no process can start"
        if short := shortage(found, was_short=self._is_short):
            self._is_short = True
            yield f"the {name} {path} has {short}"


def shortage(found: os.statvfs_result, *, was_short: bool) -> str | None:
    """What the file system has too little of; None: it has enough. Some file systems do not count inodes."""
    least = _RECOVERY if was_short else 1
    free = found.f_bavail * found.f_frsize
    if free < _LEAST_BYTES * least:
        return f"only {free // 1024**2} MB free"
    if found.f_files and found.f_favail < _LEAST_INODES * least:
        return f"only {found.f_favail} inodes free"
    return None


def _why_no_process() -> str | None:
    try:
        subprocess.run([shutil.which("true") or "/bin/true"], check=True, timeout=_PROBE_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return f"no process can be started: {error}"
    return None
