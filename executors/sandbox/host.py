"""What this kernel and the rights of this executor give to sandboxes, tried at the start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from executors.sandbox import landlock
from executors.sandbox.calls import NUMBERS
from executors.sandbox.confine import limits, rights
from executors.sandbox.launch import Launcher, run_steps
from executors.sandbox.seccomp import Sockets
from executors.sandbox.steps import Step
from executors.sandbox.strict import why_no_strict
from executors.sandbox.unveil import split_entry
from executors.sandbox.visible import shown_dir
from schemas.confinement import Capabilities, Limit, Sandbox
from schemas.errors import TidemillError

_ORDER = tuple(Sandbox)
"""The weakest first."""


class NoSandboxError(TidemillError):
    """The host cannot give the sandbox that TIDEMILL_SANDBOX names, or a setting undoes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Why it cannot give each sandbox; None: it can."""

    no_basic: str | None
    no_strict: str | None
    landlock: int
    """The version of its interface; 0: none."""


def look(launcher: Launcher, work_dir: Path, become: tuple[Step, ...] = ()) -> Host:
    """`become` are the steps to change to a user of an attempt."""
    no_strict = why_no_strict(launcher, work_dir, become)
    return Host(no_basic=_why_no_basic(launcher, become), no_strict=no_strict, landlock=landlock.abi())


def capabilities(
    host: Host, default: Sandbox, unveil: tuple[str, ...], limits: frozenset[Limit] = frozenset()
) -> Capabilities:
    """A job may ask for a stronger sandbox than the default, never for a weaker one. Raises `NoSandboxError`."""
    missing = {Sandbox.BASIC: host.no_basic, Sandbox.STRICT: host.no_strict}
    if reason := missing.get(default):
        raise NoSandboxError(
            f"this host cannot give TIDEMILL_SANDBOX={default.value}: {reason}. TIDEMILL_SANDBOX=none is without any"
        )
    can_cut = default is not Sandbox.NONE
    given = [each for each, reason in missing.items() if reason is None]
    return Capabilities(
        sandboxes=tuple(each for each in given if _ORDER.index(each) >= _ORDER.index(default)),
        default=default,
        limits=tuple(each for each in Limit if each in limits or (each is Limit.NETWORK and can_cut)),
        unveil=unveil,
        lacks=tuple(_lacks(host)),
    )


def check_places(places: dict[str, Path | None], unveil: tuple[str, ...]) -> None:
    """Directories of the executor, by the names of their settings: none may be visible to jobs, `unveil` included.

    Raises `NoSandboxError`.
    """
    for name, path in places.items():
        if path and (shown := shown_dir(path)):
            raise NoSandboxError(f"{name} is {path}, and every job may read {shown}: choose another directory")
        if path and (shown := _unveiled_dir(path, unveil)):
            raise NoSandboxError(f"{name} is {path}, and TIDEMILL_UNVEIL allows jobs to use {shown}")


def _unveiled_dir(path: Path, unveil: tuple[str, ...]) -> str | None:
    real = path.resolve()
    folders = (split_entry(each)[1] for each in unveil)
    return next((each for each in folders if real.is_relative_to(Path(each).resolve())), None)


def _lacks(host: Host) -> Iterator[str]:
    if host.no_basic:
        yield f"no sandbox basic: {host.no_basic}"
    if host.no_strict:
        yield f"no sandbox strict: {host.no_strict}"
    if not (host.no_basic and host.no_strict) and not landlock.has_scopes(host.landlock):
        yield (
            f"Landlock has version {host.landlock}, and keeps signals and abstract sockets inside from 6 on"
            " (Linux 6.12): jobs of the same user can signal each other in basic, and jobs with a network can connect"
            " to abstract sockets of the host"
        )


def _why_no_basic(launcher: Launcher, become: tuple[Step, ...]) -> str | None:
    if os.uname().machine not in NUMBERS:
        return f"Tidemill does not know the system calls of {os.uname().machine}"
    if not landlock.abi():
        return "the kernel has no Landlock (Linux 5.13 has it, and `lsm=` can switch it off)"
    steps = (*limits(), *become, *rights(os.uname().machine, Sockets.ANY, own_user=False))
    ruleset = landlock.make_ruleset(())
    try:
        return run_steps(launcher, steps, (ruleset,))
    except OSError as error:
        return f"a process with it cannot be started: {error.strerror}"
    finally:
        os.close(ruleset)
