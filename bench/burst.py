"""Measures how long 200 jobs that are due in the same second take to start on 8 slots."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from bench.baselines import TRUE, spawn_rate
from bench.due import warm
from bench.figure import Bench, Figure, Line, percentile
from bench.stacks import Shape, jobs
from tests.support.stack_client import StackClient
from tests.support.waiting import eventually

JOBS = 200
SLOTS = "10s=8,1m=8,1h=8"
LEAD = timedelta(seconds=8)
STARTED = """
select extract(epoch from started_at - scheduled_time)::float8 as seconds
from runs where starts_with(job_id, %s) and started_at is not null
"""


def measure(bench: Bench) -> Iterator[Line]:
    client = bench.stacks.get(Shape(executor_env={"TIDEMILL_SLOTS": SLOTS}))
    rate = spawn_rate(bench.pick(5, 1))
    warm(client)
    found = []
    for turn in range(bench.pick(7, 2)):
        found.append(_burst(client, f"burst{turn}-"))
        bench.say(f"the last of {JOBS} started after {found[-1]:.2f} s")
    baseline = f"{JOBS} spawned one after the other: {JOBS / rate:.2f} s"
    yield Line(what="last start, median", value=percentile(found, 0.5), unit="s", at_most=0.8, baseline=baseline)
    yield Line(what="last start, worst", value=max(found), unit="s")


def _burst(client: StackClient, name: str) -> float:
    executable = client.put_object("bench/true", Path(TRUE).read_bytes())
    at = (client.now() + LEAD).replace(microsecond=0)
    schedule = f"@at {at:%Y-%m-%dT%H:%M:%SZ}"
    rows = [{"job_id": f"{name}{number}", "executable": executable, "schedule": schedule} for number in range(JOBS)]
    with jobs(client, rows):
        eventually(lambda: len(client.rows(STARTED, [name])) == JOBS, 60, f"the start of {JOBS} jobs")
        return float(max(row["seconds"] for row in client.rows(STARTED, [name])))


FIGURES = (Figure(name="burst", claim="200 jobs due at one second, 8 slots: all started", measure=measure),)
