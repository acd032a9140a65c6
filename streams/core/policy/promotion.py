"""Timeout classes: where a run starts, how long an attempt may take there, and where it goes after that."""

from __future__ import annotations

from datetime import timedelta

from schemas.classes import TimeoutClass, class_called
from schemas.job import JobSpec
from streams.core.policy.rules import Rules


def first_class(job: JobSpec, rules: Rules) -> TimeoutClass:
    """The job's own choice; else the smallest class that holds its timeout, or the smallest of all without one.

    A job that must not run twice cannot be promoted, so it starts where it can end (protocol L7); so does one that
    must not be promoted, unless it has chosen. A class that is not among the settings counts as no choice;
    `definitions` has said so to people.
    """
    if _runs_once(job):
        return _holding(job.timeout, rules)
    chosen = rules.class_named(job.timeout_class) if job.timeout_class else None
    if chosen:
        return chosen
    return rules.classes[0] if job.timeout is None and job.promote else _holding(job.timeout, rules)


def limit_in(timeout_class: TimeoutClass, job: JobSpec) -> timedelta:
    """The longest that an attempt may take in the class."""
    return timeout_class.limit if job.timeout is None else min(timeout_class.limit, job.timeout)


def next_class(name: str, job: JobSpec, rules: Rules) -> TimeoutClass | None:
    """Where an attempt that used up its limit in class `name` goes on; None: it has timed out.

    That class may have been removed from the settings meanwhile.
    """
    current = class_called(name)
    if not job.promote or limit_in(current, job) < current.limit or job.timeout == current.limit:
        return None
    return next((each for each in rules.classes if each.limit > current.limit), None)


def may_be_promoted(job: JobSpec) -> bool:
    return job.promote and not _runs_once(job)


def class_that_holds(duration: timedelta, rules: Rules) -> TimeoutClass:
    """The smallest one in which that is allowed, or the last."""
    return next((each for each in rules.classes if each.limit >= duration), rules.classes[-1])


def _holding(timeout: timedelta | None, rules: Rules) -> TimeoutClass:
    return rules.classes[-1] if timeout is None else class_that_holds(timeout, rules)


def _runs_once(job: JobSpec) -> bool:
    return job.max_attempts == 1 and job.max_infra_retries == 0
