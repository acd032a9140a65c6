"""Which occurrences of an interval run, and which are only recorded: lateness, catch-up policy, pauses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from schemas.job import JobSpec
from schemas.reasons import ReasonCode
from schemas.status import Missed
from schemas.words import CatchupPolicy, RunState
from streams.core.policy.intervals import Interval, contains, outside
from streams.core.reason import Reason
from streams.core.schedule.occurrences import InvalidScheduleError
from streams.core.schedule.timers import Timer, timer_of
from streams.core.settings import CoreSettings
from streams.core.stored import StoredJob

MICROSECOND = timedelta(microseconds=1)
_A_LATER_ONE_RAN = Reason(ReasonCode.CATCHUP_LATEST, "a later occurrence ran instead")
_TOO_LATE = Reason(ReasonCode.CATCHUP_WINDOW, "more than catchup_window late")
_CHUNK = 256
"""How many occurrences are computed at a time."""


class RunOccurrence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    nominal_time: datetime
    is_late: bool = False
    """Late by more than `misfire_grace`, so the run catches up."""


class NotRun(msgspec.Struct, frozen=True, kw_only=True):
    """These occurrences do not run; one record stores them with the reason."""

    missed: Missed
    state: RunState
    reason: Reason


CatchupDecision = RunOccurrence | NotRun


class OldVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Occurrences that the replaced version has not decided yet."""

    is_followed: bool
    """The new version has occurrences up to now, so the replaced version does not have the newest one."""


class EndedPause(msgspec.Struct, frozen=True, kw_only=True):
    """Occurrences of a pause that ended."""

    policy: CatchupPolicy


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Occurrences that a version would have decided by now if it had arrived when it was written."""


Change = OldVersion | EndedPause | NewVersion


def decide_change(
    stored: StoredJob,
    timer: Timer,
    after: datetime,
    until: datetime,
    now: datetime,
    settings: CoreSettings,
    change: Change,
) -> Iterator[CatchupDecision]:
    """Decide one job's occurrences in (after, until] before the tick, because its definition changes.

    Occurrences that became runs during a pause are decided already and are left out.
    """
    job, covered = stored.spec, stored.covered
    match change:
        case OldVersion(is_followed=is_followed):
            decisions = decide(job, timer, after, until, now, settings, is_followed=is_followed)
            return _undecided(decisions, covered, timer, settings)
        case EndedPause(policy=policy):
            decisions = _undecided(_decide_pause(job, timer, after, until, settings, policy), covered, timer, settings)
            return _at_most(decisions, covered, timer, until, settings, "of a pause")
        case NewVersion():
            decisions = _undecided(decide(job, timer, after, until, now, settings), covered, timer, settings)
            return _at_most(decisions, covered, timer, until, settings, "before its definition arrived")
        case _:
            assert_never(change)


def decide(
    job: JobSpec,
    timer: Timer,
    after: datetime,
    until: datetime,
    now: datetime,
    settings: CoreSettings,
    *,
    is_followed: bool = False,
) -> Iterator[CatchupDecision]:
    """Decide the occurrences in (after, until], in the order of their nominal times.

    `now` is the time of the decision: an occurrence that is at most `misfire_grace` late still runs as a live one.
    The decisions do not depend on where an earlier call stopped, so a cut tick can resume.
    `is_followed`: another version has a later occurrence.
    """
    start, end = within_life(job, after, until)
    if start >= end:
        return
    if job.paused:
        yield from _record(timer, start, end, RunState.SKIPPED, _paused(job), settings)
        return
    if job.start_deadline is not None:
        too_late = min(max(start, now - job.start_deadline - job.jitter), end)
        reason = Reason(ReasonCode.START_DEADLINE, f"more than start_deadline, {job.start_deadline}, late")
        yield from _record(timer, start, too_late, RunState.MISSED, reason, settings)
        start = too_late
    # An occurrence exactly `misfire_grace` late is still on time, so the open lower bound lies just before it.
    grace_start = min(max(start, now - job.misfire_grace - MICROSECOND), end)
    newer = is_followed or timer.latest(grace_start, end) is not None
    yield from _catch_up(job, timer, start, grace_start, now, settings, has_newer=newer)
    yield from _run_all(timer, grace_start, end)


def _decide_pause(
    job: JobSpec, timer: Timer, after: datetime, until: datetime, settings: CoreSettings, policy: CatchupPolicy
) -> Iterator[CatchupDecision]:
    """`job` was paused in (after, until] and resumes at `until`."""
    if policy is CatchupPolicy.SKIP:
        return decide(job, timer, after, until, until, settings)
    awake = msgspec.structs.replace(job, paused=False, catchup_policy=policy, misfire_grace=timedelta(0))
    return decide(awake, timer, after, until, until, settings)


def _undecided(
    decisions: Iterator[CatchupDecision], covered: tuple[Interval, ...], timer: Timer, settings: CoreSettings
) -> Iterator[CatchupDecision]:
    for decision in decisions:
        match decision:
            case RunOccurrence(nominal_time=nominal_time) if contains(covered, nominal_time):
                continue
            case NotRun(missed=missed, state=state, reason=reason) if covered:
                for after, until in outside(covered, missed.first, missed.last):
                    yield from _record(timer, after, until, state, reason, settings)
            case _:
                yield decision


def _at_most(
    decisions: Iterator[CatchupDecision],
    covered: tuple[Interval, ...],
    timer: Timer,
    until: datetime,
    settings: CoreSettings,
    which: str,
) -> Iterator[CatchupDecision]:
    """At most `resume_limit` of them run, because all fit one transaction (protocol O6)."""
    runs = 0
    for decision in decisions:
        match decision:
            case RunOccurrence(nominal_time=nominal_time) if runs == settings.resume_limit:
                text = f"more than {runs} occurrences {which}; request a backfill for the rest"
                reason = Reason(ReasonCode.RESUME_LIMIT, text)
                rest = _record(timer, nominal_time - MICROSECOND, until, RunState.MISSED, reason, settings)
                yield from _undecided(rest, covered, timer, settings)
                return
            case RunOccurrence():
                runs += 1
                yield decision
            case NotRun():
                yield decision
            case _:
                assert_never(decision)


def within_life(job: JobSpec, after: datetime, until: datetime) -> tuple[datetime, datetime]:
    """(after, until] limited to the job's life: starts_at <= nominal time < ends_at."""
    start = after if job.starts_at is None else max(after, job.starts_at - MICROSECOND)
    end = until if job.ends_at is None else min(until, job.ends_at - MICROSECOND)
    return start, end


def last_occurrence(spec: JobSpec, after: datetime, until: datetime) -> datetime | None:
    """The newest occurrence in (after, until]."""
    after, until = within_life(spec, after, until)
    if spec.schedule is None or after >= until:
        return None
    try:
        return timer_of(spec).latest(after, until)
    except InvalidScheduleError:
        return None  # the job is quarantined, or `install` reports the new version


def _catch_up(
    job: JobSpec,
    timer: Timer,
    start: datetime,
    grace_start: datetime,
    now: datetime,
    settings: CoreSettings,
    *,
    has_newer: bool,
) -> Iterator[CatchupDecision]:
    """The occurrences in (start, grace_start], which are later than `misfire_grace`."""
    if start >= grace_start:
        return
    window_start = min(max(start, now - job.catchup_window - MICROSECOND), grace_start)
    match job.catchup_policy:
        case CatchupPolicy.SKIP:
            reason = Reason(ReasonCode.CATCHUP_SKIP, f"more than misfire_grace, {job.misfire_grace}, late")
            yield from _record(timer, start, grace_start, RunState.MISSED, reason, settings)
        case CatchupPolicy.ALL:
            reason = Reason(ReasonCode.CATCHUP_WINDOW, f"more than catchup_window, {job.catchup_window}, late")
            yield from _record(timer, start, window_start, RunState.MISSED, reason, settings)
            yield from _run_all(timer, window_start, grace_start, is_late=True)
        case CatchupPolicy.LATEST:
            yield from _latest_only(timer, start, window_start, grace_start, settings, has_newer=has_newer)


def _latest_only(
    timer: Timer,
    start: datetime,
    window_start: datetime,
    grace_start: datetime,
    settings: CoreSettings,
    *,
    has_newer: bool,
) -> Iterator[CatchupDecision]:
    """Only the newest occurrence runs. If a later one is within `misfire_grace`, that one is the newest."""
    last = None if has_newer else timer.latest(window_start, grace_start)
    reason = _A_LATER_ONE_RAN if has_newer or last else _TOO_LATE
    before_last = last - MICROSECOND if last else grace_start
    yield from _record(timer, start, before_last, RunState.MISSED, reason, settings)
    if last:
        yield RunOccurrence(nominal_time=last, is_late=True)


def _run_all(timer: Timer, after: datetime, until: datetime, *, is_late: bool = False) -> Iterator[CatchupDecision]:
    while after < until:
        chunk = timer.between(after, until, _CHUNK)
        for nominal_time in chunk:
            yield RunOccurrence(nominal_time=nominal_time, is_late=is_late)
        if len(chunk) < _CHUNK:
            return
        after = chunk[-1]


def _record(
    timer: Timer, after: datetime, until: datetime, state: RunState, reason: Reason, settings: CoreSettings
) -> Iterator[CatchupDecision]:
    """One record for the occurrences in (after, until], if there are any."""
    first = timer.next_after(after)
    if first is None or first > until:
        return
    last = timer.latest(after, until) or first
    count = timer.count(after, until, settings.count_limit)
    missed = Missed(first=first, last=last, count=count, at_least=count >= settings.count_limit)
    yield NotRun(missed=missed, state=state, reason=reason)


def _paused(job: JobSpec) -> Reason:
    return Reason(ReasonCode.PAUSED, f"paused: {job.paused_note}" if job.paused_note else "paused")
