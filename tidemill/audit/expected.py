"""Which occurrences the versions of a job or DAG ask for. Pure.

A version counts from its commit, and the table has only the time of its statement. So near a change, an occurrence may
have been decided by either version: it is *unsure*, and the audit accepts it with and without a record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from heapq import merge
from itertools import groupby

import msgspec

from schemas.times import EPOCH, LATEST
from tidemill.audit.calendar import Terms, occurrences

COMMIT = timedelta(seconds=60)
"""A transaction commits so long after its statement at most, or the occurrences in between are unsure."""
CLOCKS = timedelta(seconds=5)
"""The clocks of Postgres and of the brokers differ by at most this."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    valid_from: datetime
    terms: Terms | None
    """None: deleted, or without a schedule."""
    paused: bool = False
    serial: bool = False
    """At most one run at once, by its overlap policy."""


class Expected(msgspec.Struct, frozen=True):
    at: datetime
    is_sure: bool
    version: int


class _Stretch(msgspec.Struct, frozen=True):
    """Successive versions that ask for the same occurrences."""

    version: Version
    begin: datetime
    end: datetime
    resumes: bool
    """Its pause ended in a version with the same times, which decides the occurrences of the pause."""


def expected(versions: Sequence[Version], after: datetime, until: datetime) -> Iterator[Expected]:
    """The occurrences in (after, until], ascending, each once; the versions: the oldest first."""
    streams = [_of(each, after, until) for each in _stretches(versions)]
    for at, found in groupby(merge(*streams, key=lambda each: each.at), key=lambda each: each.at):
        same = list(found)
        sure = next((each for each in same if each.is_sure), None)
        yield sure or Expected(at, False, same[-1].version)


def _of(stretch: _Stretch, after: datetime, until: datetime) -> Iterator[Expected]:
    version = stretch.version
    if version.terms is None:
        return
    is_instant = version.terms.schedule.lower().startswith("@at")
    begin = EPOCH if is_instant else stretch.begin - CLOCKS
    sure_from = EPOCH if is_instant else stretch.begin + COMMIT
    sure_until = stretch.end - CLOCKS
    is_decided = not version.paused or stretch.resumes
    end = min(until, stretch.end + COMMIT) if stretch.end < LATEST else until
    for at in occurrences(version.terms, max(after, begin), end):
        yield Expected(at, is_decided and sure_from < at <= sure_until, version.number)


def _stretches(versions: Sequence[Version]) -> Iterator[_Stretch]:
    first = 0
    for index, version in enumerate(versions):
        following = versions[index + 1] if index + 1 < len(versions) else None
        if following and (following.terms, following.paused) == (version.terms, version.paused):
            continue
        end = following.valid_from if following else LATEST
        resumes = following is not None and following.terms == version.terms and not following.paused
        yield _Stretch(version, versions[first].valid_from, end, resumes)
        first = index + 1
