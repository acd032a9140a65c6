"""The retry policy: whether an ended attempt is followed by another one, and when, or by the end of the run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from schemas.job import JobSpec
from schemas.words import AttemptEnd, RunState
from streams.core.reason import Reason
from streams.core.runs.run import AttemptReport, Run, why_stopped
from streams.core.schedule.jitter import share


class NextAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One more attempt after `wait`; zero: at once."""

    wait: timedelta
    failures: int
    infra_failures: int


class EndRun(msgspec.Struct, frozen=True, kw_only=True):
    state: RunState
    reason: Reason | None
    """None: the run succeeded."""


RetryDecision = NextAttempt | EndRun

_SUCCEEDED = EndRun(state=RunState.SUCCEEDED, reason=None)
_AT_ONCE = timedelta(0)
_UNCHARGED = frozenset({AttemptEnd.PROMOTED, AttemptEnd.EXPIRED})
"""The attempt after one of these is not a retry."""
AFTER_UNMET = timedelta(seconds=1)
"""By then the heartbeat has usually arrived that says what the executor can give."""


def after_attempt(run: Run, job: JobSpec, report: AttemptReport, now: datetime) -> RetryDecision:
    """Pure: the same run, job and report give the same decision, jitter included."""
    decision = _by_number(run, job, report)
    match decision:
        case NextAttempt(wait=wait) if _is_charged(report) and _is_too_late(run, job, now + wait):
            why = _why(report).but(f"no attempt begins later than {job.max_retry_duration} after the first")
            return EndRun(state=RunState.DEAD, reason=why)
        case _:
            return decision


def _is_charged(report: AttemptReport) -> bool:
    return report.end not in _UNCHARGED and not report.is_unmet


def _is_too_late(run: Run, job: JobSpec, begins_at: datetime) -> bool:
    if job.max_retry_duration is None or run.tried_since is None:
        return False
    return begins_at > run.tried_since + job.max_retry_duration


def _why(report: AttemptReport) -> Reason:
    assert report.reason, f"an attempt that ended as {report.end.value} has no reason"
    return report.reason


def _by_number(run: Run, job: JobSpec, report: AttemptReport) -> RetryDecision:
    end = report.end
    if run.marked or (run.state is RunState.CANCELLING and end is not AttemptEnd.SUCCEEDED):
        return EndRun(state=run.marked or RunState.CANCELLED, reason=why_stopped(run.status))
    match end:
        case AttemptEnd.SUCCEEDED:
            return _SUCCEEDED
        case AttemptEnd.PROMOTED | AttemptEnd.EXPIRED:
            return NextAttempt(wait=_AT_ONCE, failures=run.failures, infra_failures=run.infra_failures)
        case AttemptEnd.FAILED | AttemptEnd.TIMED_OUT:
            return _after_failure(run, job, report)
        case AttemptEnd.CANCELLED:
            return EndRun(state=RunState.CANCELLED, reason=why_stopped(run.status))
        case AttemptEnd.LOST | AttemptEnd.REJECTED:
            return _after_infra_failure(run, job, report)
        case _:
            assert_never(end)


def _after_failure(run: Run, job: JobSpec, report: AttemptReport) -> RetryDecision:
    failures, why = run.failures + 1, _why(report)
    if report.end is AttemptEnd.FAILED and report.exit and report.exit.exit_code in job.non_retryable_exit_codes:
        return EndRun(state=RunState.FAILED, reason=Reason(why.code, f"{why.text}, which is not retried"))
    if failures < job.max_attempts:
        return NextAttempt(wait=backoff(run, job, failures), failures=failures, infra_failures=run.infra_failures)
    if report.end is AttemptEnd.TIMED_OUT:
        return EndRun(state=RunState.TIMED_OUT, reason=why)
    if job.max_attempts == 1:
        return EndRun(state=RunState.FAILED, reason=why)
    return EndRun(state=RunState.DEAD, reason=why.but(f"all {job.max_attempts} attempts are used up"))


def _after_infra_failure(run: Run, job: JobSpec, report: AttemptReport) -> RetryDecision:
    if report.is_unmet:
        return NextAttempt(wait=AFTER_UNMET, failures=run.failures, infra_failures=run.infra_failures)
    failures = run.infra_failures + 1
    if failures > job.max_infra_retries:
        why = _why(report).but(f"all {job.max_infra_retries} infra retries are used up")
        return EndRun(state=RunState.DEAD, reason=why)
    # A lost attempt can run elsewhere at once; the cause of a rejection needs time to be repaired.
    wait = _AT_ONCE if report.end is AttemptEnd.LOST else backoff(run, job, failures)
    return NextAttempt(wait=wait, failures=run.failures, infra_failures=failures)


def backoff(run: Run, job: JobSpec, failures: int) -> timedelta:
    """Exponential up to `max_interval`, plus a jitter of at most the share `retry_jitter`."""
    limit = max(job.max_interval, job.initial_interval)
    seconds = min(
        job.initial_interval.total_seconds() * job.backoff_coefficient ** min(failures - 1, 64), limit.total_seconds()
    )
    longer = 1 + job.retry_jitter * share(run.run_id, str(run.status.attempt))
    return timedelta(seconds=seconds * longer)
