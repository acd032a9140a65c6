"""What a spawn carries so that its process confines itself."""

from __future__ import annotations

from dataclasses import dataclass

from executors.sandbox.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Confined:
    steps: tuple[Step, ...] = ()
    fds: tuple[int, ...] = ()
    """The confiner keeps them open; `steps.fd_in_child` gives their numbers in the child."""
    prefix: tuple[str, ...] = ()
    """Put before the command of the process."""
    inner: tuple[Step, ...] = ()
    """What the process does inside of the sandbox that `prefix` makes, which ends with `Launcher.command_inside`."""
