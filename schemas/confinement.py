"""What a job asks of its sandbox, what an executor can give, and whether the one fits the other."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import msgspec


class Sandbox(Enum):
    """How an attempt is isolated, the weakest first."""

    NONE = "none"
    BASIC = "basic"
    STRICT = "strict"


class Network(Enum):
    ANY = "any"
    NONE = "none"


class Limit(Enum):
    """The limits that an executor may be able to enforce."""

    MEMORY = "memory"
    DISK = "disk"
    CPU = "cpu"
    PIDS = "pids"
    NETWORK = "network"
    """It can cut an attempt off the network."""


class Confinement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The columns of `tidemill.jobs` about the sandbox, under the same names. None: the executor's default."""

    sandbox: Sandbox | None = None
    """`basic` or `strict`; `none` is a setting of executors only."""
    memory: int | None = None
    """Bytes."""
    disk: int | None = None
    """Bytes in its working directory."""
    cpu: float | None = None
    """Cores."""
    pids: int | None = None
    """Processes and threads at once."""
    network: Network | None = None
    """None: `any`, and `none` under `strict`."""
    unveil: tuple[str, ...] = ()
    """Paths that it may use besides its own: `r:/srv/www`, `rw:/srv/in`, `rx:/opt/tool`."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an executor enforces; in its heartbeat."""

    sandboxes: tuple[Sandbox, ...] = ()
    default: Sandbox = Sandbox.NONE
    """For jobs whose `sandbox` is null."""
    limits: tuple[Limit, ...] = ()
    unveil: tuple[str, ...] = ()
    """What jobs may unveil, and all that lies below it."""
    lacks: tuple[str, ...] = ()
    """Sentences: what its kernel or its rights do not give, and what that means."""


NOTHING_ASKED = Confinement()
NOTHING_GIVEN = Capabilities()
"""An executor of an earlier release, whose heartbeats have no capabilities."""


def unmet(asked: Confinement, given: Capabilities) -> str | None:
    """What the executor cannot give, as a sentence; None: it gives all of it.

    Amounts do not count: an executor can limit memory or it cannot.
    """
    missing = list(_missing(asked, given))
    if not missing:
        return None
    *others, last = missing
    return f"the executor cannot give {', '.join(others)}{' and ' if others else ''}{last}"


def demands(asked: Confinement | None) -> Confinement:
    """The value without its amounts: `unmet` says the same of both, and few jobs differ in their demands."""
    if asked is None:
        return NOTHING_ASKED
    return Confinement(
        sandbox=asked.sandbox,
        memory=asked.memory and 1,
        disk=asked.disk and 1,
        cpu=asked.cpu and 1,
        pids=asked.pids and 1,
        network=Network.NONE if asked.network is Network.NONE else None,
        unveil=asked.unveil,
    )


def _missing(asked: Confinement, given: Capabilities) -> Iterator[str]:
    if asked.sandbox is not None and asked.sandbox not in given.sandboxes:
        gives = ", ".join(each.value for each in given.sandboxes)
        yield f"sandbox {asked.sandbox.value} (it gives {gives or 'none'})"
    limits = {
        Limit.MEMORY: asked.memory is not None,
        Limit.DISK: asked.disk is not None,
        Limit.CPU: asked.cpu is not None,
        Limit.PIDS: asked.pids is not None,
    }
    without = [limit.value for limit, is_asked in limits.items() if is_asked and limit not in given.limits]
    if without:
        yield f"a limit of {without[0]}" if len(without) == 1 else f"limits ({', '.join(without)})"
    if asked.network is Network.NONE and Limit.NETWORK not in given.limits:
        yield "network none"
    hidden = [each for each in asked.unveil if not is_allowed(each, given.unveil)]
    if hidden:
        yield f"unveil {', '.join(hidden)} (it allows {', '.join(given.unveil) or 'nothing'})"


def is_allowed(unveiled: str, allowed: tuple[str, ...]) -> bool:
    """Whether one entry of `allowed` has the path or a folder above it, with all the rights."""
    rights, _, path = unveiled.partition(":")
    for each in allowed:
        most, _, folder = each.partition(":")
        if set(rights) <= set(most) and f"{path}/".startswith(f"{folder.rstrip('/')}/"):
            return True
    return False
