"""Starts a part as a child in its own session, and identifies a process by its pid and start time."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import IO

import msgspec

from infra import leash
from infra.part import Part

LOG_LIMIT_BYTES = 10 * 1024 * 1024
"""A larger log is rotated (one old file is kept) when its part starts and while it runs."""
TAIL_BYTES = 16 * 1024
LINE_CHARACTERS = 600


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The kernel reuses pids; a pid and a start time name one process."""

    pid: int
    start_ticks: int


def spawn(part: Part, log_limit: int = LOG_LIMIT_BYTES) -> subprocess.Popen[bytes]:
    assert threading.current_thread() is threading.main_thread(), "the death signal is tied to the thread that forked"
    with _open_log(part.log, log_limit) as log:
        return subprocess.Popen(
            _leashed(part),
            env={name: value for name, value in {**os.environ, **part.env}.items() if name not in part.without},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=None if part.user is None else "/",  # another user may not be allowed to enter the current folder
            start_new_session=True,
        )


def _leashed(part: Part) -> list[str]:
    user = (leash.KEEP_USER, leash.KEEP_USER) if part.user is None else (part.user.uid, part.user.gid)
    numbers = map(str, (part.death_signal.value, os.getpid(), *user))
    return [*leash.COMMAND, *numbers, *part.argv]


def _open_log(path: Path, limit: int) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > limit:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def rotate(log: Path, limit: int = LOG_LIMIT_BYTES) -> None:
    """Copy the log of a running part to the old file, and truncate it.

    The part appends, so it continues at the new end; what it writes between the copy and the truncation is lost.
    """
    try:
        if log.stat().st_size > limit:
            shutil.copyfile(log, log.with_name(log.name + ".1"))
            os.truncate(log, 0)
    except OSError:
        return  # a full disk does not stop the stack: the next check tries again


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the whole process group, so that the children of a part end with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def identify(pid: int) -> Identity | None:
    """None if there is no such process, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, start_ticks = fields[0], int(fields[19])
    return None if state in "ZX" else Identity(pid=pid, start_ticks=start_ticks)


def is_alive(process: Identity) -> bool:
    return identify(process.pid) == process


def last_lines(path: Path, count: int = 8) -> str:
    """The end of a log, for an error message."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(map(_middle_out, text.splitlines()[-count:]))


def _middle_out(line: str) -> str:
    """Shorten a long line in the middle: a traceback in one line is informative at both ends."""
    return (
        line
        if len(line) <= LINE_CHARACTERS
        else f"{line[: LINE_CHARACTERS // 3]} … {line[-LINE_CHARACTERS * 2 // 3 :]}"
    )
