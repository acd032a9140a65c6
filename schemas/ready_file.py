"""The file by which a process says that it does its work: it names the process, so that a stale one is recognised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROC = Path("/proc")
_START_TIME = 19
"""Of a process, in ticks since the boot: the place among the fields of its `stat` behind its name."""


@contextmanager
def only_while_this_runs(path: Path | None) -> Iterator[None]:
    """Without a file from before, and without one afterwards; only SIGKILL leaves it, see `is_of_a_living_process`."""
    _remove(path)
    try:
        yield
    finally:
        _remove(path)


def tell_ready(path: Path | None, pid: int) -> None:
    """Its one line is the pid, the boot, and when in it the process started."""
    if path is None:
        return
    line = _line(pid)
    if line is not None and _read(path) != line:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.with_name(f"{path.name}.{pid}")
        written.write_text(line)
        written.replace(path)


def is_of_a_living_process(path: Path) -> bool:
    """As seen in the PID namespace of the process that wrote it."""
    said = _read(path)
    pid = said.partition(" ")[0]
    return pid.isdecimal() and said == _line(int(pid))


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _line(pid: int) -> str | None:
    """None: there is no such process."""
    try:
        start = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[_START_TIME]
    except OSError:
        return None
    return f"{pid} {(PROC / 'sys/kernel/random/boot_id').read_text().strip()} {start}\n"
