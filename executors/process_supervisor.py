"""The executor's process supervisor: a small process that spawns the processes of runs and kills them (protocol L2).

It is a child of the executor, in its own session, with one thread (PDEATHSIG refers to the thread that forks) and few
imports. It enforces each process's limit and lease. A frozen executor does not renew leases, and a dead executor closes
the socket: in both cases the supervisor kills the processes. Messages are JSON on a SOCK_SEQPACKET pair.

From the executor; a spawn carries the file descriptors (spec, output, launch, [inner,] fds of its steps…[, stdin]):
    {"do": "spawn", "number", "terms": {…}, "renewed"}
    {"do": "renew", "sent"}    {"do": "kill", "number", "cause", "grace"}
To the executor; an exit's `code` is null if the process was not started because its claim was void. It follows when
everything that the process started is gone; otherwise `left` is a sentence that says what is not. `failed` is the index
of the step that failed, and the error's number:
    {"did": "spawn", "number", "pid", "at"}    {"did": "refuse", "number", "reason"}    {"did": "renew", "sent"}
    {"did": "exit", "number", "code", "cause", "at", "left", "failed", "cpu_seconds", "peak_memory"}
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from array import array
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from executors.deadlines import (
    FOREVER,
    KILL,
    LEASE,
    TERM,
    ProcessTerms,
    Standing,
    enforce,
    may_start,
    next_moment,
    terminate,
)
from executors.leftovers import LOOK_SECONDS, Ending, Identity, Leftovers
from executors.orphans import adopt_orphans, attempt_variables, keep_memory_private, kill_all_of, kill_children
from executors.sandbox.launch import Launcher
from executors.sandbox.program import NOT_EXECUTED
from executors.sandbox.steps import ENTERED, NOT_ENTERED, REPORT

if TYPE_CHECKING:
    import resource

MAX_MESSAGE_BYTES = 16 * 1024
_MAX_FDS = 12
_REPORTS = 64
_NO_DESCRIPTORS = "the process supervisor or its host has too many open files"
_MOST_REAPED = 1000
"""Reap so many children before enforcing leases again: an attempt may leave some that start and end without a pause."""
_LAST_WAIT_SECONDS = 5.0
_KIB = 1024
_NO_SANDBOX = 1
"""bubblewrap exits with this if it cannot make a sandbox; the process itself may do so, too."""
_DEATH = 128
"""Death by signal N is exit code 128 + N, as in a shell (`schemas.exit_codes`, which this process does not import)."""
_LONGEST_WAIT_SECONDS = 3600.0
"""epoll accepts no infinite timeout."""
_RESET_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_IGNORED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def boot_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Process:
    """One process and its process group; the group's id is the leader's pid."""

    __slots__ = ("has_inner", "identity", "pid", "standing", "terms")

    def __init__(
        self, *, pid: int, terms: ProcessTerms, standing: Standing, identity: Identity, has_inner: bool
    ) -> None:
        """`has_inner`: whether its sandbox is made by another program, which may fail."""
        self.pid, self.terms, self.standing, self.identity = pid, terms, standing, identity
        self.has_inner = has_inner

    def carry_out(self, due: str | None) -> None:
        if due == TERM:
            self.signal(signal.SIGTERM, signal.SIGCONT)
        elif due == KILL:
            self.signal(signal.SIGKILL)

    def signal(self, *numbers: int) -> None:
        for number in numbers:
            try:
                os.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):
                return  # all processes of the group have ended or belong to another user


class ProcessSupervisor:
    def __init__(self, link: socket.socket, launcher: Launcher) -> None:
        self._link = link
        self._launcher = launcher
        self._reports, self._report = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        """Where processes say which step failed."""
        self._failed: dict[int, list[int]] = {}
        """By number: the index of the step that failed, and the error's number."""
        self._processes: dict[int, Process] = {}
        """By pid: the group leaders that are not reaped yet."""
        self._renewed = 0.0
        self._unsent: deque[bytes] = deque()
        self._leftovers, self._has_more_dead = Leftovers(), False
        self._epoll = select.epoll()

    def run(self, wakeup: int) -> None:
        """Returns after the executor has ended and all its processes are killed."""
        self._link.setblocking(False)
        self._epoll.register(self._link, select.EPOLLIN)
        self._epoll.register(wakeup, select.EPOLLIN)
        connected = True
        while connected:
            ready = {fd for fd, _ in self._epoll.poll(self._timeout())}
            if wakeup in ready:
                os.read(wakeup, 4096)
            # Enforce before reading messages: a lease that expired while both were frozen must not be renewed.
            self._reap()
            self._enforce()
            if self._link.fileno() in ready:
                connected = self._receive()
            self._enforce()
            self._settle()
            self._flush()
        self._kill_all()

    def _timeout(self) -> float:
        moments = (next_moment(each.terms, each.standing, self._renewed) for each in self._processes.values())
        longest = 0.0 if self._has_more_dead else LOOK_SECONDS if self._leftovers else _LONGEST_WAIT_SECONDS
        return min(max(min(moments, default=FOREVER) - boot_seconds(), 0.0), longest)

    # Orders of the executor

    def _receive(self) -> bool:
        """False if the executor closed the socket or died."""
        while True:
            try:
                data, ancillary, flags, _ = self._link.recvmsg(
                    MAX_MESSAGE_BYTES, socket.CMSG_SPACE(_MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return True
            except ConnectionResetError:
                return False
            if not data:
                return False
            assert not flags & socket.MSG_TRUNC, "a message of the executor was truncated"
            fds, order = _descriptors(ancillary), json.loads(data)
            try:
                if flags & socket.MSG_CTRUNC:  # only the order to spawn carries descriptors
                    self._send({"did": "refuse", "number": order["number"], "reason": _NO_DESCRIPTORS})
                else:
                    self._obey(order, fds)
            finally:
                for fd in fds:
                    os.close(fd)

    def _obey(self, order: dict[str, Any], fds: list[int]) -> None:
        match order["do"]:
            case "spawn":
                self._renewed = max(self._renewed, order["renewed"])
                self._spawn(order["number"], ProcessTerms(**order["terms"]), fds)
            case "renew":
                self._renewed = max(self._renewed, order["sent"])
                self._send({"did": "renew", "sent": order["sent"]})
            case "kill":
                self._terminate(order["number"], order["cause"], order["grace"])
            case unknown:
                raise AssertionError(f"unknown order: {unknown}")

    def _spawn(self, number: int, terms: ProcessTerms, fds: list[int]) -> None:
        if not may_start(terms, boot_seconds(), self._renewed):
            void = {"code": None, "cause": LEASE, "at": boot_seconds(), "left": None, "failed": None}
            self._send({"did": "exit", "number": number, **void})
            return
        spec = json.loads(_read_all(fds[0]))
        try:
            pid = self._exec(spec, fds)
        except (OSError, ValueError) as error:
            self._send({"did": "refuse", "number": number, "reason": str(error)})
            return
        standing = Standing(started=boot_seconds())
        identity = Identity(
            number=number,
            started=standing.started,
            variables=attempt_variables(spec["env"]),
            user=spec["user"],
            killer=spec["killer"],
        )
        self._processes[pid] = Process(
            pid=pid, terms=terms, standing=standing, identity=identity, has_inner=spec["inner"]
        )
        self._send({"did": "spawn", "number": number, "pid": pid, "at": standing.started})

    def _exec(self, spec: dict[str, Any], fds: list[int]) -> int:
        _check_environment(spec["env"])
        _, output, launch, *own = fds
        stdin = own.pop() if spec["stdin"] else None
        inner = own.pop(0) if spec["inner"] else None
        os.chdir(spec["cwd"])  # safe, because this process has one thread
        try:
            argv = [*self._launcher.command_with(launch), *spec["argv"]]
            return os.posix_spawn(
                argv[0],
                argv,
                {},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
                    if stdin is None
                    else (os.POSIX_SPAWN_DUP2, stdin, 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                    *self._launcher.actions(launch, self._report, own, inner),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=_RESET_SIGNALS,
            )
        finally:
            os.chdir("/")

    def _terminate(self, number: int, cause: str, grace: float) -> None:
        self._reap()  # a process that ended before TERM has the cause "exited"
        for process in self._processes.values():
            if process.identity.number == number:
                process.standing, due = terminate(process.standing, boot_seconds(), cause, grace)
                process.carry_out(due)

    # The processes

    def _reap(self) -> None:
        for _ in range(_MOST_REAPED):
            dead = _next_dead()
            self._has_more_dead = dead is not None
            if dead is None:
                return
            process = self._processes.pop(dead.si_pid, None)
            if process:
                # Kill the rest of the group. The leader is not reaped yet, so no other group can have its id.
                process.signal(signal.SIGKILL)
            used = os.wait4(dead.si_pid, 0)[2]
            self._leftovers.forget(dead.si_pid)
            if process:
                self._end(process, dead, used)

    def _end(self, process: Process, dead: os.waitid_result, used: resource.struct_rusage) -> None:
        """Report the exit, or hold it back while the attempt may have left something."""
        now, identity = boot_seconds(), process.identity
        code = dead.si_status if dead.si_code == os.CLD_EXITED else _DEATH + dead.si_status
        notice = {
            "did": "exit",
            "number": identity.number,
            "code": code,
            "cause": process.standing.cause,
            "at": now,
            "left": None,
            "failed": self._failure_of(process, code),
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "peak_memory": used.ru_maxrss * _KIB,
        }
        if self._leftovers.leaves_any(identity, self._processes, now):
            self._leftovers.hold_back(Ending(identity=identity, since=now, notice=notice))
        else:
            self._send(notice)

    def _settle(self) -> None:
        living = {pid: each.identity for pid, each in self._processes.items()} if self._leftovers else {}
        for notice in self._leftovers.settle(living, boot_seconds()):
            self._send(notice)

    def _failure_of(self, process: Process, code: int) -> list[int] | None:
        """What the process reported before it exited; None: the exit is that of its executable."""
        if not process.has_inner and code != NOT_EXECUTED:
            return None
        with suppress(BlockingIOError):
            while reports := os.read(self._reports, _REPORTS * REPORT.size):
                self._failed |= {number: [index, error] for number, index, error in REPORT.iter_unpack(reports)}
        not_entered = [NOT_ENTERED, 0] if process.has_inner and code == _NO_SANDBOX else None
        failed = self._failed.pop(process.identity.number, not_entered)
        return failed if failed and failed[0] != ENTERED else None

    def _enforce(self) -> None:
        now = boot_seconds()
        for process in self._processes.values():
            process.standing, due = enforce(process.terms, process.standing, now, self._renewed)
            process.carry_out(due)

    def _kill_all(self) -> None:
        for process in self._processes.values():
            process.signal(signal.SIGKILL)
            if process.identity.user is not None and process.identity.killer is not None:
                kill_all_of(process.identity.user, process.identity.killer)
        until = boot_seconds() + _LAST_WAIT_SECONDS
        while kill_children(os.getpid()) and boot_seconds() < until:
            self._reap()

    # Messages to the executor

    def _send(self, message: dict[str, Any]) -> None:
        self._unsent.append(json.dumps(message).encode())
        self._flush()

    def _flush(self) -> None:
        """A frozen executor does not read, so messages wait here; the supervisor goes on and enforces limits."""
        try:
            while self._unsent:
                self._link.send(self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            self._epoll.modify(self._link, select.EPOLLIN | select.EPOLLOUT)
            return
        except (BrokenPipeError, ConnectionResetError):
            self._unsent.clear()
        self._epoll.modify(self._link, select.EPOLLIN)


def _check_environment(env: dict[str, str]) -> None:
    """Raises `ValueError` if a variable would become another one or more in the environment."""
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"the variable {name!r} has a name or a value that no process can have")


def _next_dead() -> os.waitid_result | None:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _read_all(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def main() -> None:
    """Usage: `process_supervisor <fd of the socket> <command of the launcher as JSON>`."""
    link = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(link.fileno(), False)
    os.chdir("/")
    keep_memory_private()
    adopt_orphans()
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    ProcessSupervisor(link, Launcher(command=tuple(json.loads(sys.argv[2])))).run(read)
