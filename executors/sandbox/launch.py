"""How a host carries out steps: with a program in memory, or with a Python shim where that does not run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from executors.sandbox.calls import NUMBERS
from executors.sandbox.program import MACHINE, REPORT, compile_steps
from executors.sandbox.steps import REPORT_FD, Argument, Filter, Step, fd_in_child

# The process supervisor imports this file: import only small parts of the standard library.

LAUNCH_FD = 98
"""The number in the child of the descriptor with the shim's steps."""
_SHIM = os.path.join(os.path.dirname(os.path.realpath(__file__)), "shim.py")  # noqa: PTH118, PTH120 - see above


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    command: tuple[str, ...] = ()
    """What to put before the command of a process. Empty: the path of the launch file, which is a program."""

    def command_with(self, launch: int) -> list[str]:
        """`launch` is the descriptor of the launch file."""
        return list(self.command) or [f"/proc/self/fd/{launch}"]

    def actions(self, launch: int, report: int, fds: Sequence[int]) -> list[tuple[int, int, int]]:
        """For `posix_spawn`: they give the descriptors of a launch their numbers in the child."""
        numbered = [(report, REPORT_FD), *((fd, fd_in_child(index)) for index, fd in enumerate(fds))]
        if self.command:
            numbered.append((launch, LAUNCH_FD))
        return [(os.POSIX_SPAWN_DUP2, fd, number) for fd, number in numbered]

    def own_environment(self, env: dict[str, str]) -> dict[str, str]:
        """With which variables the launcher starts: its linker must obey none of a job, such as LD_PRELOAD."""
        return {} if self.command else env

    def launch_file(
        self, steps: Sequence[Step], number: int = 0, first: int = 0, env: dict[str, str] | None = None
    ) -> bytes:
        """The content of a file whose descriptor goes with the spawn. The numbers stand in reports of failed steps.

        `env` is the environment of the command.
        """
        if not self.command:
            return compile_steps(steps, number, first)
        calls = NUMBERS[os.uname().machine]
        rows = [(calls[each.call], [_plain(arg) for arg in each.args], each.result) for each in steps]
        return json.dumps({"number": number, "first": first, "steps": rows, "env": env or {}}).encode()


PROGRAM = Launcher()
SHIM = Launcher(command=(sys.executable, "-I", "-S", _SHIM, str(LAUNCH_FD)))


def find_launcher(*, from_memory: bool = True) -> Launcher:
    return PROGRAM if from_memory and _runs_programs() else SHIM


@cache
def _runs_programs() -> bool:
    """Whether this host executes a program in memory: security tools, `vm.memfd_noexec` and others may forbid it."""
    if os.uname().machine != MACHINE:
        return False
    try:
        fd = os.memfd_create("launch", os.MFD_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, compile_steps(()))
        _, status = os.waitpid(os.posix_spawn(f"/proc/self/fd/{fd}", ["launch"], {}), 0)
    except OSError:
        return False
    finally:
        os.close(fd)
    return status == 0


def run_steps(launcher: Launcher, steps: Sequence[Step], fds: Sequence[int] = ()) -> str | None:
    """Carry out steps in a process that then ends. Returns what failed; None: nothing. Raises `OSError`.

    `fds` become `fd_in_child(0)` and so on.
    """
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    launch = os.memfd_create("launch", os.MFD_CLOEXEC)
    try:
        os.write(launch, launcher.launch_file(steps))
        command = launcher.command_with(launch)
        pid = os.posix_spawn(command[0], command, {}, file_actions=launcher.actions(launch, write, fds))
        _, status = os.waitpid(pid, 0)
        if status == 0:
            return None
        _, index, error = REPORT.unpack(os.read(read, REPORT.size))
        return f"{steps[index].fails}: {os.strerror(error)}"
    finally:
        for fd in (read, write, launch):
            os.close(fd)


def _plain(argument: Argument) -> int | tuple[str, str]:
    match argument:
        case int():
            return argument
        case bytes():
            return "bytes", argument.hex()
        case Filter(code=code):
            return "filter", code.hex()
