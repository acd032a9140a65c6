"""Kills one stream worker and one executor of the demo's stack, and checks that they run again."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from infra import stack
from schemas.errors import TidemillError
from tidemill.demo.checks import Check


class NothingToKillError(TidemillError):
    """A process that the demo wants to kill does not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    at: datetime
    pids: Mapping[str, int]
    """The pids by process name."""


def kill(data: Path, names: tuple[str, ...], now: datetime) -> Killed:
    """Kill all of them with -9."""
    running = _pids(data)
    missing = [name for name in names if name not in running]
    if missing:
        raise NothingToKillError(f"{', '.join(missing)} does not run, so it cannot be killed")
    for name in names:
        os.kill(running[name], signal.SIGKILL)
    return Killed(at=now, pids={name: running[name] for name in names})


def are_back(data: Path, killed: Killed) -> bool:
    running = _pids(data)
    return all(running.get(name, pid) != pid for name, pid in killed.pids.items())


def check_back(data: Path, killed: Killed) -> Check:
    names = " and ".join(killed.pids)
    back = are_back(data, killed)
    return Check(holds=back, sentence=f"{names}, killed with -9, {'run again' if back else 'did not come back'}.")


def _pids(data: Path) -> dict[str, int]:
    """The pids of the running processes, by name."""
    seen = stack.status(data)
    processes = seen.processes if seen else ()
    return {each["name"]: each["pid"] for each in processes if each["state"] == "running" and each["pid"] is not None}
