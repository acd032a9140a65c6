"""Kills a stream worker with -9, and measures how long its partitions dispatch nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from bench.baselines import TRUE, hop_line
from bench.due import warm
from bench.figure import Bench, Figure, Line, NotMeasuredError
from bench.processes import StreamWorker
from bench.stacks import Shape, jobs
from infra import stack
from schemas.partition import partition_of
from schemas.topics import STATUS
from streams.groups import Groups
from streams.settings import StreamSettings
from tests.support.stack_client import StackClient
from tests.support.waiting import eventually

CLOCKS = 32
"""Jobs that are due every second, some in each partition; the others are due once a day."""
WORKER = "stream-bench"
SESSIONS = [(6, 10), (4, 7)]
"""The session timeout and the limit of the gap, in seconds. Brokers allow no timeout below 6 s by default."""
CAPTURE_SECONDS = 120
BEFORE_SECONDS = 5
AFTER_SECONDS = 20
DISPATCHED = """
select r.job_id, a.dispatched_at from attempts a join runs r using (run_id)
where starts_with(r.job_id, %s) and a.dispatched_at > %s order by a.dispatched_at
"""


def measure(bench: Bench) -> Iterator[Line]:
    client = bench.stacks.get(Shape())
    baseline = hop_line(client.connections)
    warm(client)
    for turn, (session, at_most) in enumerate(SESSIONS * bench.pick(2, 1)):
        name = f"fail{turn}-"
        rows = _rows(client, name, bench.pick(10_000, 500))
        environment = {**stack.environment(client.data), "TIDEMILL_SESSION_TIMEOUT": f"PT{session}S"}
        with StreamWorker(environment, WORKER) as worker, jobs(client, rows):
            bench.say(f"{len(rows)} jobs; waiting for both workers")
            worker.wait_ready(CAPTURE_SECONDS)
            held = _held(client)
            eventually(lambda: _all_tick(client, name), CAPTURE_SECONDS, "a dispatch of each clock")  # noqa: B023 - called here
            time.sleep(BEFORE_SECONDS)
            killed_at = client.now()
            worker.kill()
            time.sleep(bench.pick(AFTER_SECONDS, AFTER_SECONDS))
            gap = _longest_gap(client, name, held, killed_at)
        bench.say(f"partitions {sorted(held)} dispatched again after {gap:.1f} s")
        what = f"kill {turn + 1}, session timeout {session} s"
        yield Line(what=what, value=gap, unit="s", at_most=at_most, baseline=baseline)


def _rows(client: StackClient, name: str, count: int) -> list[dict[str, str]]:
    executable = client.put_object("bench/true", Path(TRUE).read_bytes())
    return [
        {
            "job_id": f"{name}{number}",
            "executable": executable,
            "schedule": "* * * * * *" if number < CLOCKS else "0 0 29 2 *",
            "overlap_policy": "allow_all",
        }
        for number in range(count)
    ]


def _held(client: StackClient) -> set[int]:
    """The partitions of this bench's worker, from the group's coordinator."""
    held = Groups(client.connections, StreamSettings().stream_group, WORKER).held_under_this_name()
    if not held:
        raise NotMeasuredError(f"worker {WORKER} was given no partition")
    return held


def _all_tick(client: StackClient, name: str) -> bool:
    lately = client.now() - timedelta(seconds=3)
    return len({row["job_id"] for row in client.rows(DISPATCHED, [name, lately])}) == CLOCKS


def _longest_gap(client: StackClient, name: str, held: set[int], killed_at: datetime) -> float:
    """The longest time from the kill to the next dispatch among the dead worker's partitions."""
    first: dict[int, datetime] = {}
    for row in client.rows(DISPATCHED, [name, killed_at]):
        first.setdefault(partition_of(row["job_id"], client.connections.partitions), row["dispatched_at"])
    clocks = {partition_of(f"{name}{number}", client.connections.partitions) for number in range(CLOCKS)}
    missing = (held & clocks) - first.keys()
    if missing:
        raise NotMeasuredError(
            f"partitions {sorted(missing)} dispatched nothing within {AFTER_SECONDS} s; see {STATUS}"
        )
    return max((first[each] - killed_at).total_seconds() for each in held & clocks)


FIGURES = (
    Figure(
        name="failover",
        claim="failover after kill -9 of a stream worker with 10,000 jobs: next dispatch",
        measure=measure,
    ),
)
