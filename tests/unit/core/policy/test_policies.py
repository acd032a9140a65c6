"""The policies of the core, each as a table of cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from schemas.classes import parse_classes
from schemas.job import JobSpec
from schemas.status import Attempt
from schemas.words import AttemptEnd, CatchupPolicy, RunKind, RunState
from streams.core.policy.catchup import NotRun, RunOccurrence, decide
from streams.core.policy.promotion import configured_class, limit_in, next_class
from streams.core.policy.retry import EndRun, NextAttempt, after_attempt, backoff
from streams.core.reason import of_exit_code
from streams.core.runs.life import NewRun, blank_status
from streams.core.runs.run import AttemptReport, Exit, Run, with_attempt
from streams.core.schedule.jitter import scheduled_time, share
from streams.core.schedule.timers import timer_of
from streams.core.settings import CoreSettings

SETTINGS = CoreSettings(classes=parse_classes("10s,1m,1h"))
NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def job(**fields: object) -> JobSpec:
    return JobSpec(job_id="job", executable="s3://tidemill/x", **fields)


def run(*, failures: int = 0, infra_failures: int = 0) -> Run:
    new = NewRun(run_id="job@t", kind=RunKind.SCHEDULED, nominal_time=NOON, scheduled_time=NOON)
    attempt = Attempt(attempt=1, token=1, timeout_class="10s", dispatched_at=NOON)
    status = with_attempt(blank_status(job(), new), attempt, version=1)
    return Run(status=status, due_at=NOON, tried_since=NOON, failures=failures, infra_failures=infra_failures)


def after(
    end: AttemptEnd, spec: JobSpec, exit_code: int | None = None, now: datetime = NOON, **counts: int
) -> NextAttempt | EndRun:
    exit_ = Exit(started_at=NOON, exit_code=exit_code, output=None, output_bytes=0, log_uri=None)
    report = AttemptReport(end=end, reason=of_exit_code(exit_code), exit=exit_)
    return after_attempt(run(**counts), spec, report, now)


@pytest.mark.parametrize(
    ("end", "exit_code", "spec", "counts", "state"),
    [
        (AttemptEnd.SUCCEEDED, 0, job(), {}, RunState.SUCCEEDED),
        (AttemptEnd.FAILED, 1, job(), {}, RunState.FAILED),
        (AttemptEnd.FAILED, 1, job(max_attempts=3), {"failures": 2}, RunState.DEAD),
        (AttemptEnd.FAILED, 7, job(max_attempts=3, non_retryable_exit_codes=(7,)), {}, RunState.FAILED),
        (AttemptEnd.TIMED_OUT, None, job(), {}, RunState.TIMED_OUT),
        (AttemptEnd.TIMED_OUT, None, job(max_attempts=2), {"failures": 1}, RunState.TIMED_OUT),
        (AttemptEnd.LOST, None, job(max_infra_retries=2), {"infra_failures": 2}, RunState.DEAD),
        (AttemptEnd.REJECTED, None, job(max_infra_retries=0), {}, RunState.DEAD),
    ],
)
def test_a_run_ends_when_its_policy_says_so(end, exit_code, spec, counts, state) -> None:
    verdict = after(end, spec, exit_code, **counts)
    assert isinstance(verdict, EndRun)
    assert verdict.state is state


@pytest.mark.parametrize(
    ("end", "spec", "waits", "failures", "infra_failures"),
    [
        (AttemptEnd.FAILED, job(max_attempts=2), True, 1, 0),
        (AttemptEnd.TIMED_OUT, job(max_attempts=2), True, 1, 0),
        (AttemptEnd.LOST, job(), False, 0, 1),
        (AttemptEnd.REJECTED, job(), True, 0, 1),
        (AttemptEnd.PROMOTED, job(), False, 0, 0),
        (AttemptEnd.EXPIRED, job(max_infra_retries=0), False, 0, 0),
    ],
)
def test_another_attempt_is_charged_to_the_right_budget(end, spec, waits, failures, infra_failures) -> None:
    verdict = after(end, spec, 1)
    assert isinstance(verdict, NextAttempt)
    assert bool(verdict.wait) is waits
    assert (verdict.failures, verdict.infra_failures) == (failures, infra_failures)


@pytest.mark.parametrize(
    ("end", "elapsed", "verdict"),
    [
        (AttemptEnd.FAILED, 8, NextAttempt),
        (AttemptEnd.FAILED, 10, EndRun),
        (AttemptEnd.LOST, 10, NextAttempt),
        (AttemptEnd.LOST, 11, EndRun),
        (AttemptEnd.REJECTED, 10, EndRun),
        (AttemptEnd.PROMOTED, 11, NextAttempt),
        (AttemptEnd.EXPIRED, 11, NextAttempt),
    ],
)
def test_no_retry_starts_after_the_retry_duration(end, elapsed, verdict) -> None:
    spec = job(max_attempts=9, max_retry_duration=seconds(10), retry_jitter=0)
    found = after(end, spec, 1, now=NOON + seconds(elapsed))
    assert isinstance(found, verdict)
    assert isinstance(found, NextAttempt) or found.state is RunState.DEAD


def test_retries_back_off_exponentially_up_to_the_limit_and_at_most_the_jitter_longer() -> None:
    spec = job(initial_interval=seconds(2), backoff_coefficient=3.0, max_interval=seconds(20), retry_jitter=0.5)
    waits = [backoff(run(), spec, failures).total_seconds() for failures in (1, 2, 3, 60)]
    for wait, plain in zip(waits, [2, 6, 18, 20], strict=True):
        assert plain <= wait <= plain * 1.5
    assert backoff(run(), spec, 2) == backoff(run(), spec, 2)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (job(), "10s"),
        (job(timeout=seconds(10)), "10s"),
        (job(timeout=seconds(11)), "1m"),
        (job(timeout=seconds(36_000)), "1h"),
        (job(timeout_class="1m"), "1m"),
        (job(timeout_class="24h"), "10s"),
        (job(timeout_class="10s", max_attempts=1, max_infra_retries=0), "1h"),
        (job(timeout=seconds(30), timeout_class="10s", max_infra_retries=0), "1m"),
        (job(promote=False), "1h"),
        (job(promote=False, timeout=seconds(30)), "1m"),
        (job(promote=False, timeout_class="10s"), "10s"),
    ],
)
def test_a_run_starts_in_the_class_that_its_job_asks_for_or_needs(spec, name) -> None:
    assert configured_class(spec, SETTINGS).name == name


@pytest.mark.parametrize(
    ("current", "spec", "following"),
    [
        ("10s", job(), "1m"),
        ("1m", job(), "1h"),
        ("1h", job(), None),
        ("10s", job(timeout=seconds(30)), "1m"),
        ("1m", job(timeout=seconds(30)), None),
        ("10s", job(timeout=seconds(10)), None),
        ("10s", job(timeout=seconds(5)), None),
        ("10s", job(promote=False), None),
    ],
)
def test_a_run_is_promoted_until_its_own_timeout(current, spec, following) -> None:
    found = next_class(current, spec, SETTINGS)
    assert (found.name if found else None) == following


def test_the_limit_of_an_attempt_is_the_shorter_of_class_limit_and_timeout() -> None:
    one_minute = SETTINGS.class_named("1m")
    assert limit_in(one_minute, job()) == seconds(60)
    assert limit_in(one_minute, job(timeout=seconds(30))) == seconds(30)


def test_a_class_of_24_hours_can_be_configured() -> None:
    settings = CoreSettings(classes=parse_classes("10s,24h,1h"))
    assert [each.name for each in settings.classes] == ["10s", "1h", "24h"]
    assert next_class("1h", job(), settings).limit == timedelta(hours=24)


def told(spec: JobSpec, after_s: float, until_s: float, now_s: float | None = None) -> list[str]:
    """The decisions about `@every 10s`, in seconds after noon: `run 10` or `missed 10-50 x5 (reason)`."""
    spec = msgspec.structs.replace(spec, schedule="@every 10s")
    now = NOON + seconds(until_s if now_s is None else now_s)
    found = []
    for each in decide(spec, timer_of(spec), NOON + seconds(after_s), NOON + seconds(until_s), now, SETTINGS):
        match each:
            case RunOccurrence(nominal_time=nominal):
                found.append(f"run {(nominal - NOON).total_seconds():.0f}")
            case NotRun(missed=missed, reason=reason):
                first, last = ((at - NOON).total_seconds() for at in (missed.first, missed.last))
                found.append(f"{each.state.value} {first:.0f}-{last:.0f} x{missed.count} ({reason.code})")
    return found


GRACE = {"misfire_grace": seconds(20)}


@pytest.mark.parametrize(
    ("spec", "until", "decisions"),
    [
        (job(**GRACE), 10, ["run 10"]),
        (job(**GRACE), 25, ["run 10", "run 20"]),
        (job(**GRACE, catchup_policy=CatchupPolicy.SKIP), 55, ["missed 10-30 x3 (catchup_skip)", "run 40", "run 50"]),
        (job(**GRACE), 55, ["missed 10-30 x3 (catchup_latest)", "run 40", "run 50"]),
        (job(misfire_grace=seconds(1)), 55, ["missed 10-40 x4 (catchup_latest)", "run 50"]),
        (job(misfire_grace=seconds(1), catchup_window=seconds(3)), 55, ["missed 10-50 x5 (catchup_window)"]),
        (job(**GRACE, catchup_policy=CatchupPolicy.ALL), 45, ["run 10", "run 20", "run 30", "run 40"]),
        (
            job(**GRACE, catchup_policy=CatchupPolicy.ALL, catchup_window=seconds(30)),
            55,
            ["missed 10-20 x2 (catchup_window)", "run 30", "run 40", "run 50"],
        ),
        (job(paused=True, paused_note="moving"), 35, ["skipped 10-30 x3 (paused)"]),
        (job(starts_at=NOON + seconds(20)), 30, ["run 20", "run 30"]),
        (job(ends_at=NOON + seconds(20)), 30, ["run 10"]),
    ],
)
def test_a_time_range_is_decided_as_its_policy_says(spec, until, decisions) -> None:
    assert told(spec, 0, until) == decisions


@pytest.mark.parametrize("policy", list(CatchupPolicy))
@pytest.mark.parametrize("stop", range(5, 300, 25))
def test_a_time_range_decided_in_two_parts_has_the_same_result(policy, stop) -> None:
    spec = job(misfire_grace=seconds(60), catchup_window=seconds(200), catchup_policy=policy)
    whole = decided_times(spec, 0)
    seen = [at for at in whole if at <= stop]
    assert [at for at in decided_times(spec, max(seen, default=0)) if at > stop] == [at for at in whole if at > stop]


def decided_times(spec: JobSpec, after_s: float) -> list[int]:
    """The times that run, up to 300 s."""
    return [int(text.split()[1]) for text in told(spec, after_s, 300) if text.startswith("run")]


def test_jitter_is_the_same_every_time_and_never_reaches_the_next_nominal_time() -> None:
    following = NOON + seconds(10)
    times = {scheduled_time(f"job{n}", NOON, seconds(3600), following) for n in range(500)}
    assert len(times) > 400
    assert all(NOON <= at < following for at in times)
    assert scheduled_time("job1", NOON, seconds(60), None) == scheduled_time("job1", NOON, seconds(60), None)
    assert 0 <= share("a") < 1
