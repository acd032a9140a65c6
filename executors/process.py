"""The executor's side of its supervisor: orders out, notices in (protocol L2)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from executors import shim
from executors.deadlines import Terms
from executors.supervisor import MAX_MESSAGE_BYTES
from executors.trampoline import TRAMPOLINE
from schemas.event import EndCause

_CLOSE_SECONDS = 10.0
"""A supervisor needs less, even if its processes take long to die; one that was stopped never ends."""
_ROOT = Path(__file__).resolve().parent.parent
_BOOT = "import sys; sys.path.append({root!r}); from executors.supervisor import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What to execute, and where."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    number: int
    pid: int
    at: float
    """Seconds of CLOCK_BOOTTIME, as in every notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The process could not be spawned."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited:
    """The process is gone, and so is its group. `code` is None if it was never started: its claim was void by then."""

    number: int
    code: int | None
    cause: EndCause
    at: float
    alone: bool
    """No process that it started can be left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """The supervisor is alive: it has taken up the renewal that was sent then."""

    sent: float


Notice = Spawned | Refused | Exited | Renewed


def find_shim(*, from_memory: bool = True) -> list[str]:
    """The command that makes a process die with the supervisor, to be put before the process's own."""
    shim = setpriv_shim() or python_shim()
    return [TRAMPOLINE, *shim] if from_memory else shim


def setpriv_shim() -> list[str] | None:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else None


def python_shim() -> list[str]:
    return [sys.executable, "-I", "-S", str(Path(shim.__file__).resolve()), "{supervisor}", "--"]


class SupervisorLink:
    """Starts the supervisor and talks with it. Used from the event loop's thread, which must be the main thread."""

    def __init__(
        self, *, on_notice: Callable[[Notice], None], on_death: Callable[[], None], command: list[str]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_notice, self._on_death = on_notice, on_death
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._child = _start(theirs, command)
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._receive)

    @property
    def pid(self) -> int:
        return self._child.pid

    def spawn(self, number: int, spec: Spec, terms: Terms, renewed: float, stdin: bytes | None) -> int:
        """Returns the reading end of the process's output. A `Spawned`, `Refused` or `Exited` follows."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        plain = {"argv": spec.argv, "env": spec.env, "cwd": str(spec.cwd)}
        fds = [_memory("spec", json.dumps(plain).encode()), writing]
        if stdin is not None:
            fds.append(_memory("stdin", stdin))
        self._send({"do": "spawn", "number": number, "terms": asdict(terms), "renewed": renewed}, fds)
        return reading

    def renew(self, sent: float) -> None:
        """The heartbeat that was sent then (CLOCK_BOOTTIME) is acknowledged: all leases count from it."""
        self._send({"do": "renew", "sent": sent})

    def kill(self, number: int, cause: EndCause, grace: float) -> None:
        """TERM now, KILL after `grace` seconds; an `Exited` follows. Said again, it can only shorten the grace."""
        self._send({"do": "kill", "number": number, "cause": cause.value, "grace": grace})

    def abandon(self) -> None:
        """Kill a supervisor that does not answer: its processes die with it."""
        self._child.kill()

    def close(self) -> bool:
        """End the supervisor: it kills whatever is left of its processes first.

        False if it did not end in time and was killed: what it would have killed is the caller's child by now.
        """
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        try:
            self._child.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            return False
        return True

    def _send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        self._unsent.append((json.dumps(message).encode(), fds or []))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            data, fds = self._unsent[0]
            try:
                socket.send_fds(self._socket, [data], fds)
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except (BrokenPipeError, ConnectionResetError):
                pass  # the reader learns of the supervisor's death
            self._unsent.popleft()
            for fd in fds:
                os.close(fd)
        self._loop.remove_writer(self._socket)

    def _receive(self) -> None:
        while True:
            try:
                data = self._socket.recv(MAX_MESSAGE_BYTES)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if not data:
                self._loop.remove_reader(self._socket)
                self._on_death()
                return
            self._on_notice(_notice(json.loads(data)))


def _notice(message: dict[str, Any]) -> Notice:
    match message.pop("did"):
        case "spawn":
            return Spawned(**message)
        case "refuse":
            return Refused(**message)
        case "exit":
            return Exited(**{**message, "cause": EndCause(message["cause"])})
        case "renew":
            return Renewed(**message)
        case unknown:
            raise AssertionError(f"a notice that is not known: {unknown}")


def _start(theirs: socket.socket, command: list[str]) -> subprocess.Popen[bytes]:
    boot = _BOOT.format(root=str(_ROOT))
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", boot, str(theirs.fileno()), json.dumps(command)],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # neither a terminal's signals nor a SIGSTOP of our group reach it
        env={},
    )


def _memory(name: str, data: bytes) -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
