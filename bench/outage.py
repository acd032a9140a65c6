"""Stops the only stream worker for 10 s while jobs are due every second, and accounts for each occurrence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from bench.baselines import TRUE
from bench.due import warm
from bench.figure import Bench, Figure, Line
from bench.processes import StreamWorker
from bench.stacks import Shape, jobs
from infra import stack
from tests.support.stack_client import StackClient

DOWN_SECONDS = 10
AROUND_SECONDS = 10
DRAIN_SECONDS = 30
READY_SECONDS = 60
LEAD = timedelta(seconds=8)
POLICIES = ("all", "latest", "skip")
GRACES = {"grace1s": timedelta(seconds=1), "grace60s": timedelta(seconds=60)}
"""Within `misfire_grace` a late occurrence runs under every policy."""
RUNS = "select state, started_at, missed_count from runs where job_id = %s"
OTHERS = "measured, one kill each: Airflow 15 lost, Celery beat 12, APScheduler 10, Procrastinate 10"


def measure(bench: Bench) -> Iterator[Line]:
    client = bench.stacks.get(Shape(workers=0))
    with StreamWorker(stack.environment(client.data)) as worker:
        worker.wait_ready(READY_SECONDS)
        warm(client)
        begin = (client.now() + LEAD).replace(microsecond=0)
        end = begin + timedelta(seconds=2 * AROUND_SECONDS + DOWN_SECONDS)
        rows = [_row(client, begin, end, policy, grace) for policy, grace in product(POLICIES, GRACES)]
        with jobs(client, rows):
            _pass(client, begin + timedelta(seconds=AROUND_SECONDS))
            worker.kill()
            bench.say(f"the worker is dead for {DOWN_SECONDS} s")
            time.sleep(DOWN_SECONDS)
            worker.start()
            worker.wait_ready(READY_SECONDS)
            _pass(client, end + timedelta(seconds=DRAIN_SECONDS))
            for row in rows:
                yield from _account(client, row["job_id"], int((end - begin).total_seconds()))


def _row(client: StackClient, begin: datetime, end: datetime, policy: str, grace: str) -> dict[str, Any]:
    return {
        "job_id": f"out-{policy}-{grace}",
        "executable": client.put_object("bench/true", Path(TRUE).read_bytes()),
        "schedule": "* * * * * *",
        "overlap_policy": "allow_all",
        "catchup_policy": policy,
        "misfire_grace": GRACES[grace],
        "starts_at": begin,
        "ends_at": end,
    }


def _account(client: StackClient, job_id: str, expected: int) -> Iterator[Line]:
    """Count the occurrences that ran, those recorded as missed, and the rest."""
    found = client.rows(RUNS, [job_id])
    ran = sum(row["started_at"] is not None for row in found)
    recorded = sum(row["missed_count"] or 1 for row in found if row["started_at"] is None)
    what = job_id.removeprefix("out-").replace("-", ", ")
    baseline = OTHERS if what == "all, grace1s" else ""
    unaccounted = expected - ran - recorded
    yield Line(what=f"{what}: unaccounted", value=unaccounted, unit=f"of {expected}", at_most=0, baseline=baseline)
    may_miss = expected if "grace1s" in job_id and "all" not in job_id else 0
    yield Line(what=f"{what}: not run, but recorded", value=recorded, unit=f"of {expected}", at_most=may_miss)


def _pass(client: StackClient, until: datetime) -> None:
    time.sleep(max(0.0, (until - client.now()).total_seconds()))


FIGURES = (
    Figure(
        name="outage", claim="a stream worker down for 10 s, jobs due every second: occurrences lost", measure=measure
    ),
)
