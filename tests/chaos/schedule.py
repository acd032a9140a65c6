"""Which faults happen when: a seed decides it. Pure.

Each lane has a part of the stack, and one fault at a time. So no two of three brokers are away at once, which is more
than the promise allows; faults of different lanes overlap.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

Kind = Literal[
    "kill",
    "freeze",
    "restart",
    "cut",
    "silence",
    "delay",
    "unavailable",
    "full disk",
    "clock step",
    "kill supervisor",
    "freeze supervisor",
    "rolling restart",
    "setting",
]
Lane = Literal["brokers", "connect", "postgres", "s3", "workers", "executors", "sinks", "operator"]


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    at: float
    """Seconds after the begin; a fault of the same lane that takes longer than planned moves it."""
    lane: Lane
    kind: Kind
    target: str
    """A process. Of a fault of the network also the other end: `sink/postgres`; alone: all its links."""
    seconds: float = 0
    """How long it lasts; 0: it has no length, as a kill."""


BROKERS = ("kafka-1", "kafka-2", "kafka-3")
WORKERS = ("stream-0", "stream-1")
EXECUTORS = ("executor-0", "executor-1", "executor-2")
SINKS = ("sink", "sink-1")
SKEWED = ("stream-0", "executor-0", "sink")
"""Their clocks can be stepped: they run under libfaketime."""
ON_SMALL_DISK = "executor-2"
SHORT, LONG = (2.0, 4.0), (12.0, 18.0)
"""Shorter than a session; longer than a lease."""
NO_LENGTH = (0.0, 0.0)

Choice = tuple[int, Kind, Sequence[str], tuple[float, float]]
"""How often, what, to whom, and for how many seconds."""

LANES: Mapping[Lane, Sequence[Choice]] = {
    "brokers": (
        (4, "kill", BROKERS, NO_LENGTH),
        (1, "restart", BROKERS, NO_LENGTH),
        (2, "freeze", BROKERS, LONG),
        (1, "freeze", BROKERS, SHORT),
        (2, "cut", BROKERS, LONG),
        (2, "silence", BROKERS, LONG),
        (1, "delay", BROKERS, LONG),
    ),
    "connect": (
        (3, "kill", ("connect",), NO_LENGTH),
        (1, "freeze", ("connect",), LONG),
        (2, "cut", ("connect/postgres",), SHORT),
        (1, "silence", ("connect/postgres",), LONG),
        (1, "delay", ("connect/postgres",), LONG),
        (1, "cut", tuple(f"connect/{each}" for each in BROKERS), LONG),
    ),
    "postgres": (
        (2, "kill", ("postgres",), NO_LENGTH),
        (1, "freeze", ("postgres",), SHORT),
        (2, "cut", tuple(f"{each}/postgres" for each in SINKS), LONG),
        (1, "silence", tuple(f"{each}/postgres" for each in SINKS), LONG),
        (1, "delay", ("sink/postgres",), LONG),
    ),
    "s3": (
        (2, "kill", ("s3",), NO_LENGTH),
        (1, "freeze", ("s3",), SHORT),
        (2, "unavailable", ("*/s3", *(f"{each}/s3" for each in EXECUTORS)), (5.0, 15.0)),
        (2, "cut", tuple(f"{each}/s3" for each in EXECUTORS), LONG),
        (1, "silence", tuple(f"{each}/s3" for each in EXECUTORS), LONG),
        (1, "delay", tuple(f"{each}/s3" for each in EXECUTORS), LONG),
    ),
    "workers": (
        (3, "kill", WORKERS, NO_LENGTH),
        (1, "restart", WORKERS, NO_LENGTH),
        (2, "freeze", WORKERS, LONG),
        (1, "freeze", WORKERS, SHORT),
        (2, "cut", WORKERS, LONG),
        (1, "silence", WORKERS, LONG),
        (1, "cut", tuple(f"{worker}/{broker}" for worker in WORKERS for broker in BROKERS), LONG),
        (1, "clock step", ("stream-0",), LONG),
    ),
    "executors": (
        (3, "kill", EXECUTORS, NO_LENGTH),
        (1, "restart", EXECUTORS, NO_LENGTH),
        (2, "freeze", EXECUTORS, LONG),
        (1, "freeze", EXECUTORS, SHORT),
        (1, "kill supervisor", EXECUTORS, NO_LENGTH),
        (1, "freeze supervisor", EXECUTORS, LONG),
        (1, "cut", EXECUTORS, LONG),
        (1, "silence", EXECUTORS, LONG),
        (1, "cut", tuple(f"{executor}/{broker}" for executor in EXECUTORS for broker in BROKERS), LONG),
        (1, "full disk", (ON_SMALL_DISK,), LONG),
        (1, "clock step", ("executor-0",), LONG),
    ),
    "sinks": (
        (3, "kill", SINKS, NO_LENGTH),
        (1, "restart", SINKS, NO_LENGTH),
        (1, "freeze", SINKS, LONG),
        (1, "cut", SINKS, LONG),
        (1, "clock step", ("sink",), LONG),
    ),
    "operator": (
        (1, "setting", ("lease",), NO_LENGTH),
        (1, "rolling restart", ("workers", "executors", "sinks"), NO_LENGTH),
    ),
}
PAUSES: Mapping[Lane, tuple[float, float]] = {
    "brokers": (8, 20),
    "connect": (25, 50),
    "postgres": (25, 60),
    "s3": (20, 40),
    "workers": (12, 30),
    "executors": (8, 25),
    "sinks": (20, 45),
    "operator": (60, 120),
}
"""Seconds between two faults of a lane."""


def storm(seed: int, seconds: float) -> tuple[Planned, ...]:
    """The faults of all lanes, in the order of their begins. Each ends before `seconds`, if nothing delays it."""
    return tuple(sorted((each for lane in LANES for each in _lane(lane, seed, seconds)), key=lambda each: each.at))


def _lane(lane: Lane, seed: int, seconds: float) -> Iterator[Planned]:
    chance = random.Random(f"{seed} {lane}")
    choices = LANES[lane]
    at = chance.uniform(0, PAUSES[lane][0])
    while True:
        (_, kind, targets, (least, most)) = chance.choices(choices, [each[0] for each in choices])[0]
        target, lasts = chance.choice(targets), round(chance.uniform(least, most), 1)
        if at + lasts > seconds:
            return
        yield Planned(at=round(at, 1), lane=lane, kind=kind, target=target, seconds=lasts)
        at += lasts + chance.uniform(*PAUSES[lane])


def alone(seed: int) -> tuple[Planned, ...]:
    """The faults whose effect is measured: one after the other, each on a stack that is whole."""
    chance = random.Random(f"{seed} alone")
    return (
        Planned(at=0, lane="workers", kind="kill", target=chance.choice(WORKERS)),
        Planned(at=0, lane="executors", kind="kill", target="busiest"),
        Planned(at=0, lane="brokers", kind="kill", target="leader"),
    )
