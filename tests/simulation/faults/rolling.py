"""Rolling changes: of the settings that all share, of what executors can give, and of releases; then restarts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from schemas.classes import parse_classes
from tests.simulation.plan import Arguments, Dice, Kind
from tests.simulation.things.deployment import ABLE, CLASSES, Deployment, Size
from tests.simulation.things.releases import NEXT

SETTINGS: dict[str, tuple[Any, ...]] = {
    "lease": (40.0, 45.0, 75.0),
    "claim_grace": (14.0, 20.0, 30.0),
    "dispatch_valid_for": (40.0, 60.0, 90.0),
    "classes": (CLASSES, "10s,30s,2m"),
}


def set_in_cluster(deployment: Deployment, name: str, value: Any) -> None:
    """`tidemill cluster set`: a process goes by it from its next start on (protocol O11)."""
    deployment.world.note("an operator", f"runs tidemill cluster set {name}={value}")
    found = parse_classes(value) if name == "classes" else timedelta(seconds=value)
    deployment.core = msgspec.structs.replace(deployment.core, **{name: found})


def change_settings(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    before = deployment.core.classes
    set_in_cluster(deployment, arguments["name"], arguments["value"])
    workers_first = len(deployment.core.classes) < len(before)  # as docs/settings.md says
    restart_all(deployment, arguments["pause"], workers_first=workers_first)


def change_release(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """An upgrade, of which half of the processes are taken back some time later."""
    names = [*deployment.executors, *deployment.workers]
    deployment.world.note("an operator", "upgrades all processes to the next release")
    deployment.releases |= dict.fromkeys(names, NEXT)
    restart_all(deployment, arguments["pause"], workers_first=False)
    deployment.world.after(arguments["back_after"], take_back, deployment, arguments)


def take_back(deployment: Deployment, arguments: Arguments) -> None:
    for name in list(deployment.releases)[::2]:
        del deployment.releases[name]
    restart_all(deployment, arguments["pause"], workers_first=False)


def change_capabilities(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """What an executor can give changes with its restart."""
    name = arguments["executor"]
    if deployment.given.pop(name, None) is None:
        deployment.given[name] = ABLE
    restart_executor(deployment, name)


def restart_all(deployment: Deployment, pause: float, *, workers_first: bool) -> None:
    """One process after the other."""
    parts: list[tuple[Any, list[str]]] = [
        (restart_executor, list(deployment.executors)),
        (restart_worker, list(deployment.workers)),
    ]
    at = 0.0
    for restart, names in reversed(parts) if workers_first else parts:
        for name in names:
            deployment.world.after(at, _unless_quiet, deployment, restart, name)
            at += pause


def _unless_quiet(deployment: Deployment, restart: Any, name: str) -> None:
    """Once everything is healed, nothing is restarted any more."""
    if not deployment.is_quiet:
        restart(deployment, name)


def restart_executor(deployment: Deployment, name: str) -> None:
    executor = deployment.executors[name]
    if executor.is_alive and not executor.is_frozen:
        executor.drain()


def restart_worker(deployment: Deployment, name: str) -> None:
    worker = deployment.workers[name]
    if worker.is_alive and not worker.is_frozen:
        worker.leave()


def a_setting(dice: Dice, _: Size) -> Arguments:
    name = dice.choice(sorted(SETTINGS))
    return {"name": name, "value": dice.choice(SETTINGS[name]), "pause": dice.choice((1.0, 15.0, 90.0))}


def an_executor(dice: Dice, size: Size) -> Arguments:
    return {"executor": f"executor-{dice.randrange(size.executors)}"}


def a_release(dice: Dice, _: Size) -> Arguments:
    return {"pause": dice.choice((1.0, 15.0, 90.0)), "back_after": dice.uniform(200, 900)}


KINDS = {
    "settings change, and all restart": Kind(3, a_setting, change_settings),
    "a release is rolled out, and half taken back": Kind(1, a_release, change_release),
    "an executor restarts and gives something else": Kind(1.5, an_executor, change_capabilities),
}
