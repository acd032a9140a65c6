"""Measures bulk changes in an owner's core, without a log: their cost, and the longest turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from bench.figure import Bench, Figure, Line, NotMeasuredError
from tests.support.simulated.driven_session import DrivenSession
from tests.support.simulated.log import Log

JOBS = 10_000
PAUSE = timedelta(days=3)
MUST_SECONDS, MUST_MILLISECONDS = 60.0, 250.0
MOST_TURNS = 10_000
SCHEDULES: dict[str, Callable[[int], str]] = {
    "one schedule": lambda _: "* * * * *",
    "1,440 schedules": lambda number: f"{number % 60} {number // 60 % 24} * * *",
}


def measure(bench: Bench) -> Iterator[Line]:
    """Measures CPU seconds, which other load on the machine does not change."""
    size = bench.pick(JOBS, 500)
    for what, schedule in SCHEDULES.items():
        log = Log()
        owner = log.recover()
        _define(log, owner, size, schedule, paused=True)
        log.now += PAUSE
        turns = _define(log, owner, size, schedule, paused=False)
        yield Line(
            what=f"{size} jobs with {what} resumed after {PAUSE.days} days, all of them",
            value=sum(turns),
            unit="CPU s",
            at_most=MUST_SECONDS,
        )
        yield Line(what="the longest turn of the owner", value=max(turns) * 1e3, unit="ms", at_most=MUST_MILLISECONDS)


def _define(log: Log, owner: DrivenSession, size: int, schedule: Callable[[int], str], *, paused: bool) -> list[float]:
    """Apply all changes, and return the CPU seconds of each turn."""
    version = 1 + size * (not paused)
    for number in range(size):
        owner.offer(log.define(version + number, job_id=f"job-{number}", schedule=schedule(number), paused=paused))
    turns: list[float] = []
    while owner.backlog and len(turns) < MOST_TURNS:
        began = time.process_time()
        log.turn(owner, 0.02)
        turns.append(time.process_time() - began)
    jobs = owner.state.durable.jobs.values()
    if len(jobs) < size or any(each.spec.paused is not paused for each in jobs):
        raise NotMeasuredError(f"after {len(turns)} turns not all of {size} changes are applied")
    return turns


FIGURES = (Figure(name="corebulk", claim="changes in bulk, in an owner's memory", measure=measure),)
