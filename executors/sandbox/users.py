"""Users that no other process has: one for each directory of attempts, if the executor may change users."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import structlog

from executors.orphans import users_of_processes
from schemas.errors import TidemillError

_LOG = structlog.get_logger()
_FIRST = 2_100_000_000
"""Above the users of hosts, of Active Directory as SSSD numbers them (to 2,000,200,000) and of containers (systemd: to
1,879,048,191); below those that systemd keeps for foreign ones (from 2,147,352,576)."""
_BLOCK = 1024
"""An executor takes whole blocks: the first user of each is the killer (`kill_all_of`), the others are for attempts."""
_MOST_BLOCKS = 64
_NEEDED = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7}
"""Capabilities and their bits: to give directories away, to read and remove them, to kill, and to change the user."""
_EFFECTIVE = "CapEff:"
_PROBE_SECONDS = 10.0
_CLEAR_SECONDS = 5.0
_ROOT = Path(__file__).resolve().parents[2]
_KILL = """import sys
sys.path.append(sys.argv[1])
from executors.orphans import kill_all_of
for user in sys.argv[3:]:
    kill_all_of(int(user), int(sys.argv[2]))"""


class NoUserError(TidemillError):
    """All blocks of users are taken by executors of this host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user and a group with the same number."""

    id: int
    killer: int
    """A user without processes, with which those of this one are killed (`executors.orphans.kill_all_of`)."""


class Users:
    """Threads may use it. A block belongs to this process while it holds a socket with the block's name."""

    def __init__(self) -> None:
        """Raises `NoUserError`."""
        self._lock = threading.Lock()
        self._blocks: dict[range, socket.socket] = {}
        self._next = 0
        self._free: deque[User] = deque()
        self._take_block()

    def take(self) -> User:
        """Raises `NoUserError`."""
        with self._lock:
            if not self._free:
                self._take_block()
            return self._free.popleft()

    def give_back(self, user: User) -> None:
        """Call this when it has neither processes nor files. The one that was free for the longest is taken first."""
        self._free.append(user)

    def end_processes(self) -> None:
        """Kill all processes of these users."""
        for block in self._blocks:
            _end_processes(block)

    def close(self) -> None:
        for held in self._blocks.values():
            held.close()

    def _take_block(self) -> None:
        while self._next < _MOST_BLOCKS:
            first = _FIRST + _BLOCK * self._next
            self._next += 1
            held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                held.bind(f"\0tidemill-users-{first}")
            except OSError:  # another executor has it
                held.close()
                continue
            block = range(first, first + _BLOCK)
            self._blocks[block] = held
            _end_processes(block)
            self._free.extend(User(id=first + number, killer=first) for number in range(1, _BLOCK))
            return
        raise NoUserError


def find_users(work_dir: Path) -> Users | str:
    """Users for the attempts below this directory, or a sentence that says why they share the executor's user.

    Raises `NoUserError`: a job can hold the names of all blocks, and must not thereby get the user of the executor.
    """
    shared = f"attempts share the user {os.getuid()} of the executor"
    if missing := _missing_rights():
        return f"{shared}: to give each its own, it lacks {', '.join(missing)}"
    users = Users()
    user = users.take()
    reason = _why_unusable(user, work_dir)
    users.give_back(user)
    if reason:
        users.close()
        return f"{shared}: {reason}"
    return users


def _why_unusable(user: User, work_dir: Path) -> str | None:
    """Why no process of this user could run below the directory."""
    for parent in [work_dir, *work_dir.parents]:
        if not parent.stat().st_mode & 0o001:
            return f"others may not pass {parent}, which {work_dir} lies in"
    try:
        subprocess.run(
            ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(work_dir)],
            user=user.id,
            group=user.id,
            extra_groups=[],
            timeout=_PROBE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"no process can run as the user {user.id}: {error}"
    return None


def _missing_rights() -> list[str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    effective = next(int(line.removeprefix(_EFFECTIVE), 16) for line in lines if line.startswith(_EFFECTIVE))
    return [f"CAP_{name}" for name, bit in _NEEDED.items() if not effective >> bit & 1]


def _end_processes(users: range) -> None:
    """Kill what a dead executor or supervisor left. Another process does it, because it must have one thread."""
    until = time.monotonic() + _CLEAR_SECONDS
    while left := sorted(users_of_processes().intersection(users)):
        _LOG.warning("killing processes that attempts left", users=left)
        command = [sys.executable, "-I", "-S", "-c", _KILL, str(_ROOT), str(users[0]), *map(str, left)]
        subprocess.run(command, check=False, timeout=_PROBE_SECONDS)
        if time.monotonic() > until:
            _LOG.error("processes that attempts left cannot be killed", users=left)
            return
