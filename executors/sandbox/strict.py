"""The sandbox `strict`: bubblewrap around an attempt, and what is done before and inside.

The attempt sees the system's files read-only, its own directory, what it unveils, and a /proc, /dev and /tmp of its
own. Its user, process, mount, IPC, UTS and cgroup namespaces are its own, and so is its network, which has no
interface but loopback.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from executors.attempt_dirs import AttemptDir
from executors.clock import boot_seconds
from executors.sandbox.bubblewrap import Bubblewrap, NoBubblewrapError, find_bubblewrap
from executors.sandbox.confined import Confined
from executors.sandbox.etc_copies import EtcCopies, make_open
from executors.sandbox.landlock import CHANGE, Granted, make_scopes
from executors.sandbox.launch import Launcher, run_steps
from executors.sandbox.seccomp import Sockets, deny_list
from executors.sandbox.steps import (
    Step,
    become_init,
    close_others_at_exec,
    drop_capabilities,
    enter_landlock,
    fd_in_child,
    filter_calls,
    hold_term,
    no_new_privileges,
    receive_signals,
    say_entered,
)
from executors.sandbox.unveil import rules_of
from executors.sandbox.visible import ETC, SYSTEM_DIRS
from schemas.confinement import Confinement, Network

_MEMORY_BYTES = 64 * 1024**2
"""The limit of /tmp and of /dev/shm each. They are memory, which neither `disk` nor a limit of a process counts."""
_NAMESPACES = ("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unveiled:
    path: str
    """As the job names it."""
    fd: int
    """The number in the child of the descriptor of what the path leads to."""
    is_writable: bool


@dataclass(slots=True, kw_only=True)
class Strict:
    """Used only from the event loop."""

    directory: Path
    """For copies of bubblewrap and of /etc."""
    bubblewrap: Bubblewrap
    launcher: Launcher
    machine: str
    etc: EtcCopies
    scopes: int | None
    """A Landlock ruleset (`landlock.make_scopes`)."""
    _unveiled: list[Granted] = field(default_factory=list)

    def confine(
        self,
        asked: Confinement,
        directory: AttemptDir,
        number: int,
        *,
        allowed: tuple[str, ...] = (),
        limits: tuple[Step, ...] = (),
    ) -> Confined:
        """The descriptors stay open until the next call. `allowed` is TIDEMILL_UNVEIL.

        Raises `TidemillError` or `OSError`.
        """
        self.etc.refresh()
        if not Path(self.bubblewrap.path).exists():  # somebody removed it
            self.bubblewrap = _bubblewrap_in(self.directory)
        self._forget_unveiled()
        own = () if self.scopes is None else (self.scopes,)
        unveiled = [*self._unveil(asked.unveil, allowed, len(own))]
        fds = (*own, *(each.fd for each in self._unveiled))
        has_network = asked.network is Network.ANY
        return Confined(
            steps=(*limits, hold_term(), *_drop_capabilities(), no_new_privileges()),
            inner=self._inner(number, Sockets.ANY if has_network else Sockets.OWN),
            fds=fds,
            prefix=(
                *self._arguments(directory, unveiled, has_network=has_network),
                "--",
                *self.launcher.command_inside,
            ),
        )

    def close(self) -> None:
        self._forget_unveiled()
        if self.scopes is not None:
            os.close(self.scopes)

    def _forget_unveiled(self) -> None:
        while self._unveiled:
            self._unveiled.pop().close()

    def _unveil(self, asked: tuple[str, ...], allowed: tuple[str, ...], before: int) -> Iterator[Unveiled]:
        for index, rule in enumerate(rules_of(asked, allowed), before):
            granted = Granted(rule)
            self._unveiled.append(granted)
            self.etc.make_room(rule.path, is_dir=granted.is_dir)
            yield Unveiled(path=rule.path, fd=fd_in_child(index), is_writable=bool(rule.access & CHANGE))

    def _inner(self, number: int, sockets: Sockets) -> tuple[Step, ...]:
        """Pid 1 confines itself before it forks: through it, too, no process can do what it may not."""
        return (
            say_entered(number),
            close_others_at_exec(),
            *(() if self.scopes is None else (enter_landlock(fd_in_child(0)),)),
            filter_calls(deny_list(self.machine, sockets, own_user=True)),
            become_init(),
            receive_signals(),
        )

    def _arguments(self, directory: AttemptDir, unveiled: Sequence[Unveiled], *, has_network: bool) -> Iterator[str]:
        yield from (self.bubblewrap.path, "--die-with-parent", "--cap-drop", "ALL", *_NAMESPACES, "--as-pid-1")
        yield from () if has_network else ("--unshare-net",)
        yield from _system()
        yield from ("--ro-bind", str(self.etc.directory), "/etc", "--proc", "/proc", "--dev", "/dev")
        # Its files belong to root, which is the user of attempts where an executor of root cannot give them others.
        yield from ("--ro-bind", "/proc/sys", "/proc/sys")
        for path in ("/tmp", "/dev/shm"):  # noqa: S108 - the attempt's own
            yield from ("--size", str(_MEMORY_BYTES), "--tmpfs", path)
        yield from (each for path in self.launcher.needs for each in ("--ro-bind", path, path))
        for each in unveiled:
            yield from ("--bind-fd" if each.is_writable else "--ro-bind-fd", str(each.fd), each.path)
        yield from _own(directory)
        yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(directory.cwd))


def _drop_capabilities() -> tuple[Step, ...]:
    """The kernel maps root into a user namespace only for a process with capabilities; then bubblewrap drops them."""
    return () if os.geteuid() == 0 else (drop_capabilities(),)


@cache
def _system() -> tuple[str, ...]:
    """A link such as /bin to usr/bin stays a link."""
    found = []
    for path in map(Path, SYSTEM_DIRS):
        if path.is_symlink():
            found += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            found += ["--ro-bind", str(path), str(path)]
    return tuple(found)


def _own(directory: AttemptDir) -> Iterator[str]:
    """One mount, so that it can rename files from its working directory into its checkpoint; its program cannot change.

    The program is a link into the cache if that is on another file system.
    """
    paths = [str(directory.executable.parent)]
    if directory.executable.is_symlink():
        paths.append(str(directory.executable.readlink()))
    yield from ("--bind", str(directory.path), str(directory.path))
    yield from (each for path in paths for each in ("--ro-bind", path, path))


def open_strict(directory: Path, launcher: Launcher) -> Strict:
    """Raises `NoBubblewrapError` or `OSError`."""
    etc = EtcCopies(directory / "etc", ETC, boot_seconds)
    etc.refresh()
    return Strict(
        directory=directory,
        bubblewrap=_bubblewrap_in(directory),
        launcher=launcher,
        machine=os.uname().machine,
        etc=etc,
        scopes=make_scopes(),
    )


def _bubblewrap_in(directory: Path) -> Bubblewrap:
    return find_bubblewrap(directory / "tools")


def why_no_strict(launcher: Launcher, parent: Path, become: tuple[Step, ...] = ()) -> str | None:
    """Make the sandbox once, as a job would get it; returns what went wrong.

    `become` are the steps to change to a user of an attempt.
    """
    try:
        with tempfile.TemporaryDirectory(dir=parent) as made, closing(open_strict(Path(made), launcher)) as strict:
            path = Path(made)
            make_open(path, Path("bin"))
            make_open(path, Path("work"))
            directory = AttemptDir(path=path, executable=path / "bin" / "true")
            confined = strict.confine(Confinement(), directory, 0)
            return run_steps(launcher, (*become, *confined.steps), confined.fds, confined.prefix, confined.inner)
    except (NoBubblewrapError, OSError) as error:
        return str(error)
