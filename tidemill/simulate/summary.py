"""What a forecast amounts to, and how two of them differ. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from schemas.words import OPEN_STATES, RunState
from tidemill.simulate.forecast import Forecast, Occurrence

_OPEN = frozenset(each.value for each in OPEN_STATES)
_NOT_RUN = frozenset({RunState.SKIPPED.value, RunState.MISSED.value})
OPEN_AT_THE_END = "open"
P50, P95 = 0.5, 0.95


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from the nominal time to the start of the first attempt."""

    p50: float
    p95: float
    max: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    occurrences: int
    runs: int
    """Occurrences that became runs."""
    ends: dict[str, int]
    """Runs by final state; `open`: they had not ended at the end."""
    not_run: dict[str, int]
    """Occurrences that did not run, by reason code."""
    processes_max: int
    """The most processes at once."""
    processes_p95: int
    """At most so many processes run at once in 95% of the time."""
    busy_seconds: float
    """The time of all processes together."""
    late: Lateness | None
    """None: nothing started."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """An occurrence of both that goes another way."""

    nominal_time: datetime
    before: str
    after: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    gone: list[datetime]
    """Nominal times that the new definition does not have."""
    come: list[datetime]
    """Nominal times that only the new definition has."""
    changed: list[Changed]


def summary_of(found: Forecast) -> Summary:
    ends, not_run, late = Counter[str](), Counter[str](), list[float]()
    for each in found.occurrences:
        if each.state in _NOT_RUN:
            not_run[each.reason_code or each.state] += each.count
            continue
        ends[OPEN_AT_THE_END if each.state in _OPEN else each.state] += 1
        if each.started_at is not None and each.started_at < found.until:
            late.append((each.started_at - each.nominal_time).total_seconds())
    highest, usual = _at_once(found.processes, found.begin, found.until)
    return Summary(
        occurrences=sum(each.count for each in found.occurrences),
        runs=ends.total(),
        ends=dict(sorted(ends.items())),
        not_run=dict(sorted(not_run.items())),
        processes_max=highest,
        processes_p95=usual,
        busy_seconds=sum((end - start).total_seconds() for start, end in found.processes),
        late=_lateness(late),
    )


def difference(before: Forecast, after: Forecast) -> Difference:
    """A range that did not run counts as its first occurrence."""
    old = {each.nominal_time: _outcome(each) for each in before.occurrences}
    new = {each.nominal_time: _outcome(each) for each in after.occurrences}
    return Difference(
        gone=sorted(old.keys() - new.keys()),
        come=sorted(new.keys() - old.keys()),
        changed=[
            Changed(nominal_time=at, before=old[at], after=new[at])
            for at in sorted(old.keys() & new.keys())
            if old[at] != new[at]
        ],
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed; `ordered` is not empty."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _outcome(each: Occurrence) -> str:
    if each.state in _NOT_RUN:
        return each.reason_code or each.state
    return OPEN_AT_THE_END if each.state in _OPEN else each.state


def _lateness(seconds: list[float]) -> Lateness | None:
    if not seconds:
        return None
    seconds.sort()
    return Lateness(p50=percentile(seconds, P50), p95=percentile(seconds, P95), max=seconds[-1])


def _at_once(processes: Sequence[tuple[datetime, datetime]], begin: datetime, until: datetime) -> tuple[int, int]:
    """The most processes at once, and the number that is not exceeded in 95% of the time."""
    # One that ends when another starts does not run beside it: -1 sorts first.
    changes = sorted([(start, 1) for start, _ in processes] + [(end, -1) for start, end in processes])
    lasted: dict[int, timedelta] = {}
    level, since = 0, begin
    for at, change in changes:
        lasted[level] = lasted.get(level, timedelta(0)) + (at - since)
        level, since = level + change, at
    lasted[level] = lasted.get(level, timedelta(0)) + (until - since)
    highest = max((each for each, long in lasted.items() if long), default=0)
    spent = timedelta(0)
    for each in sorted(lasted):
        spent += lasted[each]
        if spent >= P95 * (until - begin):
            return max(highest, min(1, len(processes))), each
    return highest, highest
