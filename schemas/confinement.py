"""What a job asks of its sandbox, what an executor can give, and whether the one fits the other."""

from __future__ import annotations

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
