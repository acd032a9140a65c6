"""Hostile JSON values, made from a seed: each kind of bad input that a stranger may send."""

from __future__ import annotations

from random import Random
from typing import Any

HOSTILE_STRINGS = (
    "'; drop table tidemill.jobs; --",
    "line one\nline two\r\nERROR: forged",
    "\x1b[2J\x1b[31mred",
    "a\u0000b",
    "\u202egnirts",
    "\u200b",
    "../../../etc/passwd",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}} {0.__class__} %s%n%x",
    "<script>alert(1)</script>",
    "$(reboot) `reboot` | reboot",
    "s3://",
    "s3://tidemill/" + "/".join([".."] * 40),
    "\U0001f4a3" * 60,
    "job@2026-03-01T12:00:00Z/node~#@",
    "null",
    "-P1D",
    "NaN",
    "a" * 201,
)
TYPES = (None, True, 0, -1, 1.5, "word", [], {}, [None], {"": None}, [[["a"]]])
NUMBERS = (-1, 0, 2**31, -(2**31) - 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**40, 1e308, -0.0)
PAST = ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1582-10-04T00:00:00+14:00", "-0044-03-15T00:00:00Z")
FUTURE = (
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-12:00",
    "2200-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "2026-03-01T12:00:00",
    "2026-13-41T25:61:61Z",
)
DURATIONS = ("P999999999D", "-P999999999D", "PT0S", "P1Y", "PT1E9S", "P")
EMPTY = ("", [], {}, None, " ")
HUGE_CHARACTERS = 300_000
DEPTHS = (150, 199, 201, 1_000, 5_000, 100_000)


class Nested:
    """Arrays within arrays, which `json` cannot write: the records put the text in its place."""

    def __init__(self, depth: int) -> None:
        self.depth = depth

    def text(self) -> str:
        return "[" * self.depth + "]" * self.depth


def hostile_value(kind: str, random: Random) -> Any:
    """A value of one of the `VALUE_KINDS`."""
    if kind == "huge":
        return random.choice((_long(random), 10**40, ["x"] * 20_000, {f"k{n}": n for n in range(5_000)}))
    if kind == "deep nesting":
        return Nested(random.choice(DEPTHS))
    return random.choice(_VALUES[kind])


def _long(random: Random) -> str:
    return random.choice(("x", "\U0001f4a3", "\n", '"', "'")) * HUGE_CHARACTERS


_VALUES: dict[str, tuple[Any, ...]] = {
    "empty": EMPTY,
    "wrong type": TYPES,
    "hostile string": HOSTILE_STRINGS,
    "number out of range": NUMBERS,
    "past time": PAST,
    "far-future time": FUTURE,
    "duration out of range": DURATIONS,
}
VALUE_KINDS = ("huge", "deep nesting", *_VALUES)
