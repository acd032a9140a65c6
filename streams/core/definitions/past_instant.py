"""A job whose only instant, `@at`, had passed when its row was written: it runs late, or one record says why not.

A version normally decides only occurrences after its commit. A past `@at` would then never run, without a record.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from schemas.job import JobSpec
from schemas.reasons import ReasonCode
from schemas.status import Missed
from schemas.words import RunState
from streams.core.definitions.edit import has_same_occurrences
from streams.core.policy.catchup import MICROSECOND, NotRun, last_occurrence
from streams.core.reason import Reason
from streams.core.schedule.cron import At
from streams.core.schedule.occurrences import InvalidScheduleError, parse_schedule
from streams.core.settings import CoreSettings
from streams.core.stored import StoredJob


def decide_past(
    known: StoredJob | None, new: StoredJob, since: datetime, settings: CoreSettings
) -> tuple[datetime, NotRun | None]:
    """The `since` of `new`: unchanged, or just before its instant; and the record if the instant does not run."""
    at = _past_instant(known, new)
    if at is None:
        return since, None
    late = timedelta(seconds=(new.since - at) // timedelta(seconds=1))
    grace = new.spec.misfire_grace
    if late > min(grace, settings.request_ttl):
        return since, _missed(at, f"over by {late} when it was written, more than misfire_grace, {grace}")
    if known is not None and at <= known.since:
        return since, _missed(at, f"over by {late} when it was written, and a version before may have run it")
    return at - MICROSECOND, None


def _past_instant(known: StoredJob | None, new: StoredJob) -> datetime | None:
    """The instant of `new`, if it had passed when `new` was written and the version before did not decide it."""
    spec = new.spec
    at = None if new.deleted else _instant(spec)
    if at is None or at > new.since or last_occurrence(spec, at - MICROSECOND, at) is None:
        return None
    if known is None or known.deleted:
        return at
    return None if has_same_occurrences(known.spec, spec) or _was_decided(known, at) else at


def _missed(at: datetime, why: str) -> NotRun:
    missed = Missed(first=at, last=at, count=1, at_least=False)
    return NotRun(missed=missed, state=RunState.MISSED, reason=Reason(ReasonCode.PAST, why))


def _was_decided(known: StoredJob, at: datetime) -> bool:
    """The version before had the same occurrence, and it is decided."""
    return known.since < at and last_occurrence(known.spec, at - MICROSECOND, at) is not None


def _instant(spec: JobSpec) -> datetime | None:
    if not (spec.schedule or "").lstrip().lower().startswith("@at"):
        return None
    try:
        schedule = parse_schedule(spec.schedule or "")
    except InvalidScheduleError:
        return None  # `install` reports it
    return schedule.instant if isinstance(schedule, At) else None
