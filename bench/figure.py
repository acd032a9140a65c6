"""A figure: its claim, its measurement, and the resulting lines with their baselines."""

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
    """What this machine did without Tidemill in the same run, for comparison."""

    @property
    def is_met(self) -> bool | None:
        """None: the line has no limit."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """The environment of a measurement."""

    short: bool
    stacks: Stacks
    say: Callable[[str], None]

    def pick(self, full: int, short: int) -> int:
        """The size or duration for a full measurement, or for a smoke run."""
        return short if self.short else full


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    claim: str
    measure: Callable[[Bench], Iterator[Line]]
    """Yields each line as soon as it is measured: if a later step fails, the earlier lines are kept."""


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share (0 to 1) of the values does not exceed."""
    ordered = sorted(values)
    if not ordered:
        raise NotMeasuredError("a percentile needs at least one value")
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
