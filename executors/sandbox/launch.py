"""How a host carries out steps: with a program in memory, or with a Python shim where that does not run."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from executors.orphans import TAG
from executors.sandbox.calls import NUMBERS
from executors.sandbox.program import MACHINE, compile_steps
from executors.sandbox.steps import (
    ENTERED,
    FIRST_INNER,
    REPORT,
    REPORT_FD,
    Argument,
    Filter,
    Step,
    Tag,
    failure_at,
    fd_in_child,
)

# The process supervisor imports this file: import only small parts of the standard library.

LAUNCH_FD = 98
"""The number in the child of the descriptor with the shim's steps."""
INNER_FD = 97
"""The number in the child of the launch file that is for the inside of its sandbox."""
_MOST_SAID_BYTES = 4_096
_SHIM = os.path.join(os.path.dirname(os.path.realpath(__file__)), "shim.py")  # noqa: PTH118, PTH120 - see above


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    command: tuple[str, ...] = ()
    """What to put before the command of a process. Empty: the path of the launch file, which is a program."""

    def command_with(self, launch: int) -> list[str]:
        """`launch` is the descriptor of the launch file."""
        return list(self.command) or [f"/proc/self/fd/{launch}"]

    @property
    def command_inside(self) -> tuple[str, ...]:
        """The same for the inner launch file, for what makes its sandbox."""
        return (*self.command[:-1], str(INNER_FD)) if self.command else (f"/proc/self/fd/{INNER_FD}",)

    @property
    def needs(self) -> tuple[str, ...]:
        """The paths that a process must see for this."""
        return (sys.base_prefix, sys.prefix, _SHIM) if self.command else ()

    def actions(
        self, launch: int, report: int, fds: Sequence[int], inner: int | None = None
    ) -> list[tuple[int, int, int]]:
        """For `posix_spawn`: they give the descriptors of a launch their numbers in the child."""
        numbered = [(report, REPORT_FD), *((fd, fd_in_child(index)) for index, fd in enumerate(fds))]
        if self.command:
            numbered.append((launch, LAUNCH_FD))
        if inner is not None:
            numbered.append((inner, INNER_FD))
        return [(os.POSIX_SPAWN_DUP2, fd, number) for fd, number in numbered]

    def launch_file(
        self,
        steps: Sequence[Step],
        number: int = 0,
        first: int = 0,
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        """The content of a file whose descriptor goes with the spawn. The numbers stand in reports of failed steps.

        `env` is the environment of the command. The spawn itself has none: the linker of Python or bubblewrap must obey
        no variable of a job, such as LD_PRELOAD.
        """
        if not self.command:
            return compile_steps(steps, number, first, env)
        calls = NUMBERS[os.uname().machine]
        rows = [(calls[each.call], [_plain(arg, number) for arg in each.args], each.result) for each in steps]
        return json.dumps({"number": number, "first": first, "steps": rows, "env": dict(env)}).encode()


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


def run_steps(
    launcher: Launcher,
    steps: Sequence[Step],
    fds: Sequence[int] = (),
    prefix: Sequence[str] = (),
    inner: Sequence[Step] = (),
) -> str | None:
    """Carry out steps in a process that then ends. Returns what failed; None: nothing. Raises `OSError`.

    `fds` become `fd_in_child(0)` and so on; the others are as in `Confined`.
    """
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    said, launch, inside = (os.memfd_create(name, os.MFD_CLOEXEC) for name in ("said", "launch", "inside"))
    try:
        os.write(launch, launcher.launch_file(steps))
        os.write(inside, launcher.launch_file(inner, first=FIRST_INNER))
        command = [*launcher.command_with(launch), *prefix]
        actions = [(os.POSIX_SPAWN_DUP2, said, 2), *launcher.actions(launch, write, fds, inside)]
        _, status = os.waitpid(os.posix_spawn(command[0], command, {}, file_actions=actions), 0)
        if status == 0:
            return None
        return _failure(read, steps, inner) or os.pread(said, _MOST_SAID_BYTES, 0).decode(errors="replace").strip()
    finally:
        for fd in (read, write, said, launch, inside):
            os.close(fd)


def _failure(reports: int, steps: Sequence[Step], inner: Sequence[Step]) -> str | None:
    """What a process reported; None: nothing."""
    with suppress(BlockingIOError):
        found = REPORT.iter_unpack(os.read(reports, _MOST_SAID_BYTES // REPORT.size * REPORT.size))
        for _, index, error in found:
            if index != ENTERED:
                return f"{failure_at(index, steps, inner)}: {os.strerror(error)}"
    return None


def _plain(argument: Argument, number: int) -> int | tuple[str, str]:
    match argument:
        case int():
            return argument
        case bytes():
            return "bytes", argument.hex()
        case Filter(code=code):
            return "filter", code.hex()
        case Tag():
            return "bytes", struct.pack("<QQ", TAG + number, TAG + number).hex()
