"""The ready file of a process: it exists while the process works, and names it, so that a stale file is recognized."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROC = Path("/proc")
_START_TIME = 19
"""The index of the start time, in ticks since boot, among the fields of `/proc/PID/stat` after the name."""


@contextmanager
def without_ready_file(path: Path | None) -> Iterator[None]:
    """Removes the file before and after. Only SIGKILL leaves a file; `names_running_process` recognizes it."""
    _remove(path)
    try:
        yield
    finally:
        _remove(path)


def write_ready_file(path: Path | None, pid: int) -> None:
    """Writes one line: the pid, the boot id, and the start time of the process."""
    if path is None:
        return
    line = _line(pid)
    if line is not None and _read(path) != line:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.with_name(f"{path.name}.{pid}")
        written.write_text(line)
        written.replace(path)


def names_running_process(path: Path) -> bool:
    """Whether the process that wrote the file still runs. Call it in that process's PID namespace."""
    line = _read(path)
    pid = line.partition(" ")[0]
    return pid.isdecimal() and line == _line(int(pid))


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _line(pid: int) -> str | None:
    """The line for a process; None: there is no such process."""
    try:
        start = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[_START_TIME]
    except OSError:
        return None
    return f"{pid} {(PROC / 'sys/kernel/random/boot_id').read_text().strip()} {start}\n"
