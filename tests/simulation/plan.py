"""The plan of a seed: the size of its deployment, and all acts of users and all faults, with their times."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from tests.simulation.things.deployment import Deployment, Size

BEGIN, QUIET, PAUSE_ALL, END = 60.0, 2640.0, 2777.0, 3900.0
"""Seconds: acts lie between BEGIN and QUIET; then everything is healed, then nothing is due any more; 65 minutes."""

Dice = random.Random
Arguments = dict[str, Any]


class Act(msgspec.Struct, frozen=True, kw_only=True):
    at: float
    kind: str
    number: int
    """Names the act in its plan; its dice follow from it, so that leaving out another act changes nothing here."""
    arguments: Arguments = {}

    def __str__(self) -> str:
        said = ", ".join(f"{name} {shown(value)}" for name, value in self.arguments.items())
        return f"{self.at:7.1f} s  {self.kind}" + (f" ({said})" if said else "")


def shown(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


class Kind(NamedTuple):
    """A kind of act."""

    weight: float
    """How often it is drawn, compared with the others of its family."""
    draw: Callable[[Dice, Size], Arguments]
    apply: Callable[[Deployment, Dice, Arguments], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    size: Size
    acts: tuple[Act, ...]


def is_due(schedule: str | None, at: datetime) -> bool:
    """Schedules of the simulation are `*/n * * * *` in UTC."""
    return schedule is not None and at.minute % int(schedule.split()[0].removeprefix("*/")) == 0


def nothing(_: Dice, __: Size) -> Arguments:
    return {}


def draw_acts(dice: Dice, size: Size, kinds: dict[str, Kind], count: int, first_number: int) -> list[Act]:
    names, weights = list(kinds), [each.weight for each in kinds.values()]
    acts: list[Act] = []
    for number in range(first_number, first_number + count):
        (name,) = dice.choices(names, weights)
        at = round(dice.uniform(BEGIN, QUIET - 60), 1)
        acts.append(Act(at=at, kind=name, number=number, arguments=kinds[name].draw(dice, size)))
    return acts
