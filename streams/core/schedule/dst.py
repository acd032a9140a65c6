"""DST changes: gaps and folds of wall-clock schedules, by the job's rules or by Debian's defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.words import DstFold, DstGap

if TYPE_CHECKING:
    from datetime import datetime

    from streams.core.schedule.cron import Cron
    from streams.core.schedule.zone import Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class DstRules:
    """The columns `dst_gap` and `dst_fold` of a job."""

    gap: str = DstGap.SHIFT.value
    fold: str | None = None
    """None: `first` for fixed hours, `both` for wildcard hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Wall-clock times (naive) from `low` to before `high`."""

    low: datetime
    high: datetime


def rules_for(cron: Cron, dst: DstRules) -> DstRules:
    """Debian's defaults: fixed hours run once; a wildcard follows real time, so a gap leaves out none of its runs."""
    by_schedule = DstFold.BOTH.value if cron.real_time else DstFold.FIRST.value
    return DstRules(gap=DstGap.SKIP.value if cron.real_time else dst.gap, fold=dst.fold or by_schedule)


def wall_times_of(stretch: Stretch, rules: DstRules) -> Span:
    """The wall-clock times of a stretch that count. In a fold, the rule counts the first pass, the second, or both."""
    start, end = stretch.start.replace(tzinfo=None), stretch.end.replace(tzinfo=None)
    low, high = start + stretch.offset, end + stretch.offset
    if rules.fold == DstFold.FIRST.value:
        low = max(low, start + stretch.offset_before)
    if rules.fold == DstFold.SECOND.value:
        high = min(high, end + stretch.offset_after)
    return Span(low=low, high=high)


def gap_before(stretch: Stretch) -> Span | None:
    """The wall-clock times that the change at the start of this stretch skips."""
    start = stretch.start.replace(tzinfo=None)
    low, high = start + stretch.offset_before, start + stretch.offset
    return Span(low=low, high=high) if low < high else None


def shifted_gap(stretch: Stretch, rules: DstRules) -> Span | None:
    """The gap whose occurrences run as one occurrence at the start of this stretch."""
    return gap_before(stretch) if rules.gap == DstGap.SHIFT.value else None
