"""Places instants on a line of pixels; long stretches in which nothing happens get a fixed width. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

BREAK_WIDTH = 56.0
"""The width of a compressed stretch."""
LONG_SHARE = 0.3
"""An idle stretch is compressed if it is longer than this share of all busy time."""
LEAST_WIDTH = 2.0
"""The least width of a stretch, so that a short one is visible."""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    begin: datetime
    end: datetime
    left: float
    width: float
    is_compressed: bool = False

    @property
    def length(self) -> timedelta:
        return self.end - self.begin


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    stretches: tuple[Stretch, ...]

    def at(self, instant: datetime) -> float:
        """The position of an instant between the first and the last one."""
        for each in self.stretches:
            if instant <= each.end:
                share = max(instant - each.begin, timedelta(0)) / each.length
                return each.left + share * each.width
        last = self.stretches[-1]
        return last.left + last.width


def scale(busy: Sequence[tuple[datetime, datetime]], instants: Iterable[datetime], width: float) -> Scale | None:
    """`busy`: the stretches that are shown in proportion. None: there is nothing to show."""
    points = sorted({*instants, *(each for pair in busy for each in pair)})
    pairs = list(pairwise(points))
    if not pairs:
        return None
    worked = sum((end - begin for begin, end in pairs if _is_busy(busy, begin, end)), timedelta(0))
    total = points[-1] - points[0]
    limit = max(worked * LONG_SHARE, total * 0.05)
    long = [not _is_busy(busy, begin, end) and end - begin > limit for begin, end in pairs] if worked else []
    compressed = dict(zip(pairs, long, strict=True)) if long else {}
    return Scale(stretches=tuple(_placed(pairs, compressed, width)))


def _is_busy(busy: Sequence[tuple[datetime, datetime]], begin: datetime, end: datetime) -> bool:
    return any(first < end and begin < last for first, last in busy)


def _placed(
    pairs: Sequence[tuple[datetime, datetime]], compressed: dict[tuple[datetime, datetime], bool], width: float
) -> Iterable[Stretch]:
    breaks = sum(compressed.values())
    shown = sum((end - begin for begin, end in pairs if not compressed.get((begin, end))), timedelta(0))
    room = max(width - breaks * BREAK_WIDTH - (len(pairs) - breaks) * LEAST_WIDTH, 0.0)
    left = 0.0
    for begin, end in pairs:
        is_compressed = compressed.get((begin, end), False)
        share = (end - begin) / shown if shown else 0.0
        wide = BREAK_WIDTH if is_compressed else LEAST_WIDTH + share * room
        yield Stretch(begin=begin, end=end, left=left, width=wide, is_compressed=is_compressed)
        left += wide
