"""Timeout classes: in which class a run starts, how long an attempt may take, and which class is next."""

from __future__ import annotations

from datetime import timedelta

from schemas.classes import TimeoutClass, class_called
from schemas.job import JobSpec
from streams.core.settings import CoreSettings


def configured_class(job: JobSpec, settings: CoreSettings) -> TimeoutClass:
    """The job's `timeout_class`; otherwise the smallest class that holds its timeout; without one, the smallest class.

    A job that must not run twice cannot be promoted, so it starts in the class that holds its timeout (protocol L7).
    So does a job with `promote` off, unless it names a class. A class that is not configured counts as unset, which
    `definitions` has reported.
    """
    if _runs_once(job):
        return _holding(job.timeout, settings)
    chosen = settings.class_named(job.timeout_class) if job.timeout_class else None
    if chosen:
        return chosen
    return settings.classes[0] if job.timeout is None and job.promote else _holding(job.timeout, settings)


def limit_in(timeout_class: TimeoutClass, job: JobSpec) -> timedelta:
    """The longest time that an attempt may take in the class."""
    return timeout_class.limit if job.timeout is None else min(timeout_class.limit, job.timeout)


def next_class(name: str, job: JobSpec, settings: CoreSettings) -> TimeoutClass | None:
    """The next class for an attempt that reached its limit in class `name`; None: it timed out.

    Class `name` may have been removed from the settings since.
    """
    current = class_called(name)
    if not job.promote or limit_in(current, job) < current.limit or job.timeout == current.limit:
        return None
    return next((each for each in settings.classes if each.limit > current.limit), None)


def may_be_promoted(job: JobSpec) -> bool:
    return job.promote and not _runs_once(job)


def class_that_holds(duration: timedelta, settings: CoreSettings) -> TimeoutClass:
    """The smallest class whose limit is at least `duration`, or the last class."""
    return next((each for each in settings.classes if each.limit >= duration), settings.classes[-1])


def _holding(timeout: timedelta | None, settings: CoreSettings) -> TimeoutClass:
    return settings.classes[-1] if timeout is None else class_that_holds(timeout, settings)


def _runs_once(job: JobSpec) -> bool:
    return job.max_attempts == 1 and job.max_infra_retries == 0
