"""A figure: what is claimed, how it is measured, and the lines that come out, each beside its baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from bench.stacks import Stacks
from schemas.errors import TidemillError


class NotMeasuredError(TidemillError):
    """The figure could not be measured."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    aim: float | None = None
    baseline: str = ""
    """What else this machine did in the same run, to compare with."""

    @property
    def is_met(self) -> bool | None:
        """None: nothing is claimed."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement works with."""

    short: bool
    stacks: Stacks
    say: Callable[[str], None]

    def pick(self, full: int, short: int) -> int:
        """A size or a number of seconds: of the real thing, or of a smoke run that only shows that it works."""
        return short if self.short else full


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    claim: str
    measure: Callable[[Bench], Iterator[Line]]
    """Lines come as soon as they are known: those of a measurement that breaks off later are kept."""


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share (0 to 1) of them does not exceed."""
    ordered = sorted(values)
    if not ordered:
        raise NotMeasuredError("there is nothing to take a percentile of")
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
