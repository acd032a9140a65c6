"""Stops and starts a stream worker and an executor, and measures how late runs start meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.baselines import TRUE, hop_line
from bench.due import warm
from bench.figure import Bench, Figure, Line
from bench.processes import ExtraProcess, StreamWorker
from bench.stacks import Shape, jobs
from infra import stack
from tests.support.stack_client import StackClient
from tests.support.waiting import eventually

NAME = "hand-"
CLOCKS = 32
"""Jobs that are due every second, some in each partition; the others are due once a day."""
READY_SECONDS = 60
WATCHED = timedelta(seconds=10)
"""The time after each stop and each start in which starts are measured."""
DRAIN_SECONDS = 30
AT_MOST_SECONDS = 1
LATE = """
select count(started_at) as started,
       coalesce(max(extract(epoch from started_at - scheduled_time)), 0)::float8 as longest
from runs where starts_with(job_id, %s) and scheduled_time > %s and scheduled_time <= %s
"""


def measure(bench: Bench) -> Iterator[Line]:
    client = bench.stacks.get(Shape())
    baseline = hop_line(client.connections)
    warm(client)
    environment = stack.environment(client.data)
    executor = {
        **environment,
        "TIDEMILL_EXECUTOR_NAME": "executor-bench",
        "TIDEMILL_WORK_DIR": str(client.data / "executor-bench"),
    }
    with jobs(client, _rows(client, bench.pick(10_000, 500))):
        eventually(lambda: _all_tick(client), READY_SECONDS, "a run of each clock")
        yield from _watch(bench, client, "nothing is restarted", lambda: None, baseline)
        for name, process in (
            ("stream worker", StreamWorker(environment)),
            ("executor", ExtraProcess("executors", executor)),
        ):
            with process:
                process.wait_ready(READY_SECONDS)
                for turn in range(bench.pick(3, 1)):
                    yield from _watch(bench, client, f"{name} stopped, {turn + 1}", process.stop)
                    yield from _watch(bench, client, f"{name} started, {turn + 1}", process.start)


def _rows(client: StackClient, count: int) -> list[dict[str, str]]:
    executable = client.put_object("bench/true", Path(TRUE).read_bytes())
    return [
        {
            "job_id": f"{NAME}{number}",
            "executable": executable,
            "schedule": "* * * * * *" if number < CLOCKS else "0 0 29 2 *",
            "overlap_policy": "allow_all",
        }
        for number in range(count)
    ]


def _all_tick(client: StackClient) -> bool:
    now = client.now()
    return bool(client.rows(LATE, [NAME, now - timedelta(seconds=3), now])[0]["started"] >= CLOCKS)


def _watch(bench: Bench, client: StackClient, what: str, act: Callable[[], None], baseline: str = "") -> Iterator[Line]:
    bench.say(what)
    begin = client.now().replace(microsecond=0) + timedelta(seconds=1)
    time.sleep((begin - client.now()).total_seconds())
    act()
    end = begin + WATCHED
    time.sleep(max((end - client.now()).total_seconds(), 0))
    due = CLOCKS * int(WATCHED.total_seconds())

    def late() -> dict[str, Any]:
        return client.rows(LATE, [NAME, begin, end])[0]

    eventually(lambda: late()["started"] == due, DRAIN_SECONDS, lambda: f"{due} runs that have started: {late()}")
    yield Line(
        what=f"{what}: latest start", value=late()["longest"], unit="s", at_most=AT_MOST_SECONDS, baseline=baseline
    )


FIGURES = (
    Figure(
        name="handover",
        claim="planned restart of a stream worker and of an executor, 32 jobs due every second: latest start",
        measure=measure,
    ),
)
