"""The sandbox `strict`: the arguments of bubblewrap around an attempt.

The attempt sees the system's files read-only, its own directory, what it unveils, and a /proc, /dev and /tmp of its
own. Its user, process, mount, IPC, UTS and cgroup namespaces are its own, and so is its network, which has no
interface but loopback.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from executors.sandbox.bubblewrap import Bubblewrap
from schemas.errors import TidemillError

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store")
_MEMORY_BYTES = 64 * 1024**2
"""The limit of /tmp and of /dev/shm each. They are memory, which neither `disk` nor a limit of a process counts."""
_NAMESPACES = ("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")


_PROOF_SECONDS = 10.0


class NoSandboxError(TidemillError):
    """Bubblewrap cannot make the sandbox on this host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What every attempt of this executor sees."""

    system: tuple[str, ...]
    """Arguments of bubblewrap."""
    shown: tuple[Path, ...]
    """The directories that these arguments show."""
    hidden: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What one attempt sees besides."""

    directory: Path
    executable: Path
    cwd: Path
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    has_network: bool = False


def view(etc: Iterable[str], hidden: Iterable[Path]) -> View:
    """`hidden` are directories with things of other attempts; they stay invisible if a shown directory holds them."""
    found = [Path(each) for each in _SYSTEM if Path(each).exists()]
    system = [each for path in found for each in _shown(path)]
    system += [each for path in etc for each in ("--ro-bind-try", path, path)]
    return View(
        system=tuple(system), shown=tuple(path for path in found if not path.is_symlink()), hidden=tuple(hidden)
    )


def arguments(bubblewrap: Bubblewrap, view: View, own: Own) -> tuple[str, ...]:
    """The command to put before the second program. As pid 1, that outlives all other processes of the attempt."""
    shown = [*view.shown, *map(Path, (*own.readable, *own.writable))]
    hidden = [each for each in view.hidden if any(each.is_relative_to(path) for path in shown)]
    return (
        *(bubblewrap.path, "--die-with-parent", "--cap-drop", "ALL", *_NAMESPACES, "--as-pid-1"),
        *(() if own.has_network else ("--unshare-net",)),
        *view.system,
        *("--proc", "/proc", "--dev", "/dev", *_memory("/tmp"), *_memory("/dev/shm")),  # noqa: S108 - inside only
        *_each("--ro-bind", own.readable),
        *_each("--bind", own.writable),
        *(each for path in hidden for each in ("--tmpfs", str(path))),
        *_of_attempt(own),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", str(own.cwd), "--"),
    )


def prove(bubblewrap: Bubblewrap, view: View, *, parent: Path, user: int | None) -> None:
    """Make the sandbox once, as a job would get it. `user` is one of an attempt; None: this process's own.

    Raises `NoSandboxError` with what bubblewrap says.
    """
    with tempfile.TemporaryDirectory(dir=parent) as made:
        directory = Path(made)
        directory.chmod(0o755)
        own = Own(directory=directory, executable=directory / "true", cwd=directory)
        command = [*arguments(bubblewrap, view, own), shutil.which("true") or "/bin/true"]
        groups: list[int] | None = None if user is None else []
        try:
            subprocess.run(
                command,
                check=True,
                capture_output=True,
                text=True,
                env={},
                user=user,
                group=user,
                extra_groups=groups,
                timeout=_PROOF_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            raise NoSandboxError(error.stderr.strip().removeprefix("bwrap: ")) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoSandboxError(str(error)) from error


def _of_attempt(own: Own) -> Iterator[str]:
    """One mount, so that it can rename files from its working directory into its checkpoint; its program cannot change.

    The program is a link into the cache if that is on another file system.
    """
    yield from _each("--bind", [str(own.directory)])
    yield from _each("--ro-bind", [str(own.executable.parent)])
    if own.executable.is_symlink():
        yield from _each("--ro-bind", [str(own.executable.readlink())])


def _shown(path: Path) -> tuple[str, ...]:
    """A link such as /bin to usr/bin stays a link."""
    return ("--symlink", str(path.readlink()), str(path)) if path.is_symlink() else ("--ro-bind", str(path), str(path))


def _memory(path: str) -> tuple[str, ...]:
    return ("--size", str(_MEMORY_BYTES), "--tmpfs", path)


def _each(how: str, paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield from (how, path, path)
