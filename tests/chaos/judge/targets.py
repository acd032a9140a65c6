"""Which occurrences each job and DAG must have, from what the load asked for; nothing is read from the system. Pure.

The calendar is the audit's, which shares no code with the streams (`tidemill/audit/calendar.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from tests.chaos.judge.history import Defined, Spec
from tidemill.audit.calendar import Terms, occurrences

Applied = Callable[[datetime], datetime]
"""From the answer to a change: when the streams know it at the latest. Until then either definition may decide."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    at: datetime
    required: bool
    """False: a change so near that either definition may have decided, or a pause that did not end."""
    may_run: bool
    """False: the job was paused, so only a reason is right."""
    specs: tuple[Spec, ...]
    """The definitions that may have decided."""


class _Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """One definition, from one change to the next; each change took effect at some time of an interval."""

    spec: Spec
    begin: tuple[datetime, datetime]
    end: tuple[datetime, datetime]
    is_decided: bool
    """False: it is paused, and the pause did not end in the same schedule."""


def targets(definitions: Sequence[Defined], until: datetime, clocks: timedelta, applied: Applied) -> list[Target]:
    """The occurrences of one job or DAG, ascending. `definitions`: accepted or unknown ones, in their order."""
    found: dict[datetime, Target] = {}
    for stretch in _stretches(definitions, until, applied):
        for each in _of(stretch, definitions[0].owner, clocks):
            known = found.get(each.at)
            found[each.at] = _both(known, each) if known else each
    return [found[at] for at in sorted(found)]


def specs_at(
    definitions: Sequence[Defined], at: datetime, until: datetime, clocks: timedelta, applied: Applied
) -> list[Spec | None]:
    """The definitions that may have been in force; None stands for a job that does not exist."""
    changes = _changes(definitions, until, applied)
    found: list[Spec | None] = [None] if not changes or at <= changes[0][1][1] + clocks else []
    for index, (spec, (begin, _)) in enumerate(changes):
        end = changes[index + 1][1][1] if index + 1 < len(changes) else until
        if begin - clocks <= at <= end + clocks:
            found.append(spec)
    return found


def _both(one: Target, other: Target) -> Target:
    return Target(
        owner=one.owner,
        at=one.at,
        required=one.required or other.required,
        may_run=one.may_run or other.may_run,
        specs=one.specs + other.specs,
    )


def _of(stretch: _Stretch, owner: str, clocks: timedelta) -> Iterator[Target]:
    spec = stretch.spec
    if spec.schedule is None:
        return
    low, high = stretch.begin[0] - clocks, stretch.end[1] + clocks
    sure_low, sure_high = stretch.begin[1] + clocks, stretch.end[0] - clocks
    for at in occurrences(Terms(spec.schedule), low, high):
        yield Target(
            owner=owner,
            at=at,
            required=stretch.is_decided and sure_low < at <= sure_high,
            may_run=not spec.paused or not sure_low < at <= sure_high,
            specs=(spec,),
        )


Change = tuple[Spec | None, tuple[datetime, datetime]]


def _changes(definitions: Sequence[Defined], until: datetime, applied: Applied) -> list[Change]:
    """Each definition with the interval in which it took effect; one with an unknown answer may also not have."""
    found: list[Change] = []
    for index, each in enumerate(definitions):
        following = definitions[index + 1].answered if index + 1 < len(definitions) else until
        answered = each.answered if each.outcome == "accepted" else following
        found.append((each.spec, (each.sent, applied(answered))))
    return found


def _stretches(definitions: Sequence[Defined], until: datetime, applied: Applied) -> Iterator[_Stretch]:
    changes = _changes(definitions, until, applied)
    for index, (spec, begin) in enumerate(changes):
        last = index + 1 == len(changes)
        following, end = (None, (until, until)) if last else changes[index + 1]
        if spec is not None:
            resumes = following is not None and not following.paused and following.schedule == spec.schedule
            yield _Stretch(spec=spec, begin=begin, end=end, is_decided=not spec.paused or resumes)
