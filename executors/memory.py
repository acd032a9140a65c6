"""Tells whether the kernel killed a process for lack of memory, by the OOM-kill count of this executor's cgroup.

All processes of an executor run in its cgroup, so the count does not say which of them was killed.
"""

from __future__ import annotations

import re
from pathlib import Path

from schemas.exit_codes import SIGNAL_BASE

KILLED = "the kernel killed a process of this executor's cgroup for lack of memory in that time"
PERHAPS = "perhaps out of memory"
"""The problem of a process killed by SIGKILL where the kernel provides no count."""

_SIGKILL = SIGNAL_BASE + 9
_COUNT = re.compile(r"^oom_kill ([0-9]+)$", re.MULTILINE)


class OutOfMemory:
    """Reads how many processes the kernel has killed so far; None if the kernel provides no count."""

    __slots__ = ("_file",)

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def kills(self) -> int | None:
        try:
            found = _COUNT.search(self._file.read_text()) if self._file else None
        except OSError:
            return None
        return int(found[1]) if found else None


def problem(before: int | None, after: int | None, exit_code: int | None) -> str | None:
    """The memory problem of a process that ended on its own between two counts; None if there is no sign of one."""
    if not exit_code:
        return None
    if before is None or after is None:
        return PERHAPS if exit_code == _SIGKILL else None
    return KILLED if after > before else None


def of_this_process(proc: Path = Path("/proc"), mount: Path = Path("/sys/fs/cgroup")) -> OutOfMemory:
    """For cgroup versions 2 and 1. In a container the root of the mount may be the container's cgroup."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        lines = []
    return OutOfMemory(next((file for each in lines for file in _files(each, mount) if file.exists()), None))


def _files(line: str, mount: Path) -> list[Path]:
    number, controllers, path = line.split(":", 2)
    if "memory" in controllers.split(","):
        return [mount / "memory" / path.strip("/") / "memory.oom_control", mount / "memory" / "memory.oom_control"]
    if number == "0":
        return [mount / path.strip("/") / "memory.events", mount / "memory.events"]
    return []
