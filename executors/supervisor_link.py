"""The executor's connection to its process supervisor: sends orders, receives notices (protocol L2)."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from executors.deadlines import ProcessTerms
from executors.process_supervisor import MAX_MESSAGE_BYTES
from executors.sandbox.launch import Launcher
from executors.sandbox.steps import FIRST_INNER, REPORT_FD, Step, close_at_exec, die_with
from executors.sandbox.users import User
from schemas.event import EndCause

_CLOSE_SECONDS = 10.0
"""A supervisor ends sooner, even if its processes die slowly; a supervisor stopped by SIGSTOP never ends."""
_SOON_OVER = (errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM)
"""The kernel takes no message or descriptor now."""
_RETRY_SECONDS = 0.1
_ROOT = Path(__file__).resolve().parent.parent
_BOOT = "import sys; sys.path.append({root!r}); from executors.process_supervisor import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """The command, environment and working directory of a process, and what it does before its exec."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    user: User | None = None
    """The user that its processes have, and no other process; None: that of the executor."""
    steps: tuple[Step, ...] = ()
    fds: tuple[int, ...] = ()
    """The descriptors that the steps use; `steps.fd_in_child` gives their numbers there. The caller keeps them open."""
    inner: tuple[Step, ...] = ()
    """What it does inside of the sandbox that the first words of `argv` make, as in `Confined`."""


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
    """The process has ended. `code` is None if it was not started because its claim was void."""

    number: int
    code: int | None
    cause: EndCause
    at: float
    left: str | None = None
    """What it started and may still run, in a sentence; None: nothing."""
    failed: tuple[int, int] | None = None
    """If it did not execute its command: the index of the step that failed, and the error's number. The index behind
    the last step is the exec."""
    cpu_seconds: float | None = None
    """CPU time of the process and of those that it waited for; None: it was not started."""
    peak_memory: int | None = None
    """Bytes of the largest of these processes, and no less than the supervisor has: the kernel counts from its fork."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """The supervisor is alive: it has received the renewal that was sent at this time."""

    sent: float


Notice = Spawned | Refused | Exited | Renewed


class SupervisorLink:
    """Starts the process supervisor, sends it orders and receives its notices.

    Used from the event loop's thread, which must be the main thread.
    """

    def __init__(
        self, *, on_notice: Callable[[Notice], None], on_death: Callable[[], None], launcher: Launcher
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_notice, self._on_death, self._launcher = on_notice, on_death, launcher
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._socket, supervisor_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with supervisor_end:
            self._child = _start(supervisor_end, launcher)
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._receive)

    @property
    def pid(self) -> int:
        return self._child.pid

    def spawn(self, number: int, spec: Spec, terms: ProcessTerms, renewed: float, stdin: bytes | int | None) -> int:
        """Returns the read end of the process's output pipe. A `Spawned`, `Refused` or `Exited` follows.

        `stdin` is what the process reads, or the descriptor of a file with it, which the caller keeps open.

        Raises `OSError`, for example if this process has too many open files.
        """
        user = {"user": spec.user.id, "killer": spec.user.killer} if spec.user else {"user": None, "killer": None}
        plain = {"argv": spec.argv, "env": spec.env, "cwd": str(spec.cwd)}
        has = {"inner": bool(spec.inner), "stdin": stdin is not None}
        given = [("spec", json.dumps({**plain, **has, **user}).encode()), *self._launch_files(number, spec)]
        fds = _memfds(given + ([("stdin", stdin)] if isinstance(stdin, bytes) else []))
        try:
            fds[len(given) : len(given)] = _duplicates((*spec.fds, stdin) if isinstance(stdin, int) else spec.fds)
            reading, writing = _output_pipe(spec.user)
        except OSError:
            _close_all(fds)
            raise
        fds.insert(1, writing)
        self._send({"do": "spawn", "number": number, "terms": asdict(terms), "renewed": renewed}, fds)
        return reading

    def _launch_files(self, number: int, spec: Spec) -> Iterator[tuple[str, bytes]]:
        """A change of the user undoes what `die_with` does, so that comes last."""
        last = die_with(self.pid)
        if spec.inner:
            yield "launch", self._launcher.launch_file((*spec.steps, *last), number)
            yield "inner", self._launcher.launch_file(spec.inner, number, FIRST_INNER, spec.env)
        else:
            steps = (*spec.steps, close_at_exec(REPORT_FD), *last)
            yield "launch", self._launcher.launch_file(steps, number, env=spec.env)

    def renew(self, sent: float) -> None:
        """Renew all leases from `sent` (CLOCK_BOOTTIME), when the acknowledged heartbeat was sent."""
        self._send({"do": "renew", "sent": sent})

    def kill(self, number: int, cause: EndCause, grace: float) -> None:
        """TERM now, KILL after `grace` seconds; an `Exited` follows. A second call can only shorten the grace."""
        self._send({"do": "kill", "number": number, "cause": cause.value, "grace": grace})

    def abandon(self) -> None:
        """Kill a supervisor that does not answer: its processes die with it."""
        self._child.kill()

    def close(self, seconds: float = _CLOSE_SECONDS) -> bool:
        """End the supervisor; it kills its processes first. Wait at most so long for it, and at most 10 s.

        False if it did not end in time and was killed: processes that it did not kill are now the caller's children.
        """
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        try:
            self._child.wait(min(seconds, _CLOSE_SECONDS))
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
            except OSError as error:
                if error.errno in _SOON_OVER:
                    self._loop.call_later(_RETRY_SECONDS, self._flush)
                    return
                if not isinstance(error, ConnectionError):  # `_receive` reports the death of the supervisor
                    raise
            self._unsent.popleft()
            _close_all(fds)
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
            failed = message["failed"]
            own = {"cause": EndCause(message["cause"]), "failed": failed and tuple(failed)}
            return Exited(**{**message, **own})
        case "renew":
            return Renewed(**message)
        case unknown:
            raise AssertionError(f"unknown notice: {unknown}")


def _start(supervisor_end: socket.socket, launcher: Launcher) -> subprocess.Popen[bytes]:
    boot = _BOOT.format(root=str(_ROOT))
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", boot, str(supervisor_end.fileno()), json.dumps(launcher.command)],
        pass_fds=[supervisor_end.fileno()],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # so that neither a terminal's signals nor a SIGSTOP of our group reach it
        env={},
    )


def memory_file(name: str, data: bytes) -> int:
    """A descriptor of a file in memory. Raises `OSError`, and then leaves none open."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        os.close(fd)
        raise
    return fd


def _memfds(contents: list[tuple[str, bytes]]) -> list[int]:
    """Raises `OSError`, and then leaves no descriptor open."""
    fds: list[int] = []
    try:
        fds.extend(memory_file(name, data) for name, data in contents)
    except OSError:
        _close_all(fds)
        raise
    return fds


def _output_pipe(user: User | None) -> tuple[int, int]:
    """It belongs to the user of the process, which may open it by a name such as /dev/stdout. Raises `OSError`."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        if user:
            os.fchown(writing, user.id, user.id)
    except OSError:
        _close_all([reading, writing])
        raise
    os.set_blocking(reading, False)
    return reading, writing


def _duplicates(fds: tuple[int, ...]) -> list[int]:
    """Raises `OSError`, and then leaves no descriptor open."""
    made: list[int] = []
    try:
        made.extend(os.dup(fd) for fd in fds)
    except OSError:
        _close_all(made)
        raise
    return made


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
