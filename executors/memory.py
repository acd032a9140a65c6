"""Whether the kernel killed for lack of memory, as far as it says so: the count of this executor's own cgroup.

A process that is started here lives in the cgroup of the executor, with all others: so the count says that one of them
was killed, and not which.
"""

from __future__ import annotations

import re
from pathlib import Path

from schemas.exit_codes import DEATH

KILLED = "the kernel killed a process of this executor's cgroup for lack of memory in that time"
PERHAPS = "perhaps out of memory"
"""Of a death by SIGKILL where the kernel does not let us ask."""

_SIGKILL = DEATH + 9
_COUNT = re.compile(r"^oom_kill ([0-9]+)$", re.MULTILINE)


class OutOfMemory:
    """How many processes the kernel has killed so far; None where it does not say."""

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
    """Of a process that ended by itself between two counts; None: nothing is known of memory."""
    if not exit_code:
        return None
    if before is None or after is None:
        return PERHAPS if exit_code == _SIGKILL else None
    return KILLED if after > before else None


def of_this_process(proc: Path = Path("/proc"), mount: Path = Path("/sys/fs/cgroup")) -> OutOfMemory:
    """In cgroup version 2 or 1. In a container the root of the mount may be its cgroup, under another name outside."""
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
