"""Which occurrence of a job surely has a record, by the versions of its definition. Pure.

The owner of the job decides each occurrence by the version that counts at its time. It either makes a run or a record
why not, so an occurrence without both is overdue. Here are the cases in which an occurrence may rightly have neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from schemas.times import EPOCH
from streams.core.schedule.cron import At
from tidemill.explain.history import last_before
from tidemill.time import TICK, Plan

COMMIT = timedelta(seconds=60)
"""A version counts from its commit, and the table only has the time of its statement. Within this time after the
statement, the version before may still decide."""
CLOCKS = timedelta(seconds=5)
"""How far the clock of Postgres may be ahead of the brokers' clock, by which a version counts."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    version: int
    valid_from: datetime
    plan: Plan | None
    """None: deleted, paused, or without a schedule that can be followed."""
    max_runs: int | None = None


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """Successive versions with the same occurrences."""

    plan: Plan
    first: Version
    next: Version | None


def last_expected(versions: Sequence[Version], earliest: datetime, until: datetime) -> datetime | None:
    """The newest occurrence from `earliest` to `until` that must have a record; the versions: the oldest first.

    None also for a job that is deleted, paused or unscheduled now.
    """
    if not versions or versions[-1].plan is None:
        return None
    for stretch in reversed(list(_stretches(versions))):
        begin, end = _surely_decides(stretch, until)
        found = last_before(stretch.plan, end + TICK, max(begin, earliest - TICK)) if begin < end else None
        if found is not None:
            return found
    return None


def in_force(versions: Sequence[Version], occurrence: datetime) -> Version | None:
    """The version that decides an occurrence; the first one for an `@at` before it."""
    return next((each for each in reversed(versions) if each.valid_from < occurrence), next(iter(versions), None))


def _stretches(versions: Sequence[Version]) -> Iterator[Stretch]:
    first = 0
    for index, version in enumerate(versions):
        following = versions[index + 1] if index + 1 < len(versions) else None
        if following is not None and following.plan == version.plan:
            continue
        if version.plan is not None:
            yield Stretch(plan=version.plan, first=versions[first], next=following)
        first = index + 1


def _surely_decides(stretch: Stretch, until: datetime) -> tuple[datetime, datetime]:
    """The occurrences in this interval, open at its begin, are decided by these versions whenever they committed."""
    begin = stretch.first.valid_from + COMMIT
    if isinstance(stretch.plan.schedule, At):
        # An instant that has passed when the row is written is decided too.
        begin = EPOCH if stretch.first.valid_from <= until else until
    return begin, min(until, stretch.next.valid_from - CLOCKS) if stretch.next else until
