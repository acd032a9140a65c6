"""Matches the occurrences that were expected one to one with the records that there are. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from schemas.reasons import ReasonCode
from schemas.times import LATEST, rfc3339
from schemas.words import OPEN_STATES, RunState
from tidemill.audit.expected import COMMIT, Expected, Version, expected
from tidemill.audit.findings import Finding, Found, Tally

_UNEXPLAINED = frozenset(each.value for each in RunState) - {"succeeded", *(each.value for each in OPEN_STATES)}


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `tidemill.runs` for an occurrence, or for a range of occurrences that did not run."""

    run_id: str
    at: datetime
    """The nominal time; of a range, the first one."""
    state: str
    reason_code: str | None
    last: datetime | None = None
    """The last nominal time of a range; None: it is one occurrence."""
    count: int = 1
    at_least: bool = False


class Span(NamedTuple):
    """The nominal times that an audit looks at: (after, until]."""

    after: datetime
    until: datetime


def match(
    owner: str, versions: Sequence[Version], span: Span, records: Sequence[Record], tally: Tally
) -> Iterator[Found]:
    """The records are those of the span; the versions: the oldest first."""
    runs: dict[datetime, list[Record]] = defaultdict(list)
    for record in records:
        if record.last is None:
            runs[record.at].append(record)
    matched = _Ranges([each for each in records if each.last is not None], span)
    finished = _finished(versions, records)
    seen: set[datetime] = set()
    missing: list[Expected] = []
    for each in expected(versions, span.after, span.until):
        seen.add(each.at)
        found = len(runs.get(each.at, ())) + matched.covering(each)
        tally.expected += each.is_sure
        tally.unsure += not each.is_sure
        if each.is_sure and not found and not any(begin <= each.at <= end for begin, end in finished):
            missing.append(each)
            continue
        yield from _missing(owner, missing)
        missing.clear()
        if found > 1:
            yield _twice(owner, each, runs.get(each.at, []))
    yield from _missing(owner, missing)
    yield from _unexpected(owner, seen, runs)
    yield from matched.wrong(owner)
    yield from _counted(owner, records, tally)


def _missing(owner: str, missing: Sequence[Expected]) -> Iterator[Found]:
    """Successive occurrences without a record are one finding."""
    if missing:
        first, last = missing[0], missing[-1]
        many = f" and {len(missing) - 1:,} more up to {rfc3339(last.at)}" if len(missing) > 1 else ""
        yield Found(
            finding=Finding.MISSING,
            owner=owner,
            first=first.at,
            last=last.at,
            count=len(missing),
            versions=tuple(dict.fromkeys((first.version, last.version))),
            sentence=f"the occurrence of {rfc3339(first.at)}{many} has neither a run nor a reason",
        )


def _twice(owner: str, each: Expected, runs: Sequence[Record]) -> Found:
    names = " and ".join(run.run_id for run in runs) or "ranges of occurrences that did not run"
    return Found(
        finding=Finding.TWICE,
        owner=owner,
        first=each.at,
        run_id=runs[0].run_id if runs else None,
        versions=(each.version,),
        sentence=f"the occurrence of {rfc3339(each.at)} has more than one record: {names}",
    )


def _unexpected(owner: str, seen: set[datetime], runs: dict[datetime, list[Record]]) -> Iterator[Found]:
    for at, records in runs.items():
        if at not in seen:
            yield Found(
                finding=Finding.UNEXPECTED,
                owner=owner,
                first=at,
                run_id=records[0].run_id,
                sentence=f"{records[0].run_id} has a time at which no version was due",
            )


def _counted(owner: str, records: Iterable[Record], tally: Tally) -> Iterator[Found]:
    for each in records:
        if each.state in ("skipped", "missed"):
            tally.not_run[each.reason_code or "no reason"] += each.count
        else:
            tally.runs += 1
            tally.open += RunState(each.state) in OPEN_STATES
        if each.reason_code is None and each.state in _UNEXPLAINED:
            yield Found(
                finding=Finding.UNEXPLAINED,
                owner=owner,
                run_id=each.run_id,
                first=each.at,
                last=each.last,
                count=each.count,
                sentence=f"{each.run_id} is {each.state}, and has no reason code",
            )


def _finished(versions: Sequence[Version], records: Iterable[Record]) -> list[tuple[datetime, datetime]]:
    """The times in which `max_runs` was reached: later occurrences are not recorded until the row changes."""
    found = []
    for each in records:
        if each.reason_code == ReasonCode.MAX_RUNS.value:
            change = next((version.valid_from for version in versions if version.valid_from >= each.at), None)
            found.append((each.at, change + COMMIT if change else LATEST))
    return found


class _Ranges:
    """Ranges of occurrences that did not run, in the order of their begin."""

    def __init__(self, records: Sequence[Record], span: Span) -> None:
        self._waiting = sorted(records, key=lambda each: each.at, reverse=True)
        self._open: list[Record] = []
        self._sure: dict[str, int] = defaultdict(int)
        self._all: dict[str, int] = defaultdict(int)
        # Of a range that begins before the span, the span has only a part.
        self._whole = [each for each in records if span.after < each.at and (each.last or each.at) <= span.until]

    def covering(self, occurrence: Expected) -> int:
        """How many ranges cover it. Call it with ascending occurrences."""
        while self._waiting and self._waiting[-1].at <= occurrence.at:
            self._open.append(self._waiting.pop())
        self._open = [each for each in self._open if each.last is not None and each.last >= occurrence.at]
        for each in self._open:
            self._all[each.run_id] += 1
            self._sure[each.run_id] += occurrence.is_sure
        return len(self._open)

    def wrong(self, owner: str) -> Iterator[Found]:
        """Ranges that count more or fewer occurrences than there were."""
        for each in self._whole:
            low, high = self._sure[each.run_id], self._all[each.run_id]
            if low <= each.count <= high or (each.at_least and each.count <= high):
                continue
            yield Found(
                finding=Finding.UNEXPECTED if each.count > high else Finding.MISSING,
                owner=owner,
                run_id=each.run_id,
                first=each.at,
                last=each.last,
                count=abs(each.count - high),
                sentence=f"{each.run_id} stands for {each.count:,} occurrences, and {high:,} were due in its time",
            )
