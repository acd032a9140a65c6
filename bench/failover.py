"""Kills a stream worker with -9, and measures how long its partitions dispatch nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from bench.baselines import TRUE, hop_line
from bench.due import warm
from bench.figure import Bench, Figure, Line, NotMeasuredError, percentile
from bench.processes import StreamWorker, cpu_seconds
from bench.stacks import Shape, jobs
from infra import stack
from infra.workers import SESSION
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
RUNS = 100_000
RUN_JOBS = 800
RUNS_SECONDS = 1_800
TURNS = 3
MADE = """
insert into requests (job_id, request_id, run_at)
select %s || (%s + n %% %s), %s || '-' || n, now() + interval '1 day' from generate_series(1, %s) as n
"""
CANCELLED = """
insert into requests (job_id, request_id, kind)
select %s || (%s + n), 'stop', 'cancel' from generate_series(0, %s - 1) as n
"""
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


def measure_history(bench: Bench) -> Iterator[Line]:
    """With runs behind it that wait for a later time, and as many that were cancelled."""
    client = bench.stacks.get(Shape())
    baseline = hop_line(client.connections)
    warm(client)
    name, runs = f"behind{time.monotonic_ns()}-", bench.pick(RUNS, 5_000)
    environment = {**stack.environment(client.data), "TIDEMILL_SESSION_TIMEOUT": SESSION}
    with jobs(client, _rows(client, name, CLOCKS + RUN_JOBS)):
        _make_runs(client, name, runs)
        for turn in range(bench.pick(TURNS, 1)):
            with StreamWorker(environment, WORKER) as worker:
                worker.wait_ready(CAPTURE_SECONDS)
                held = _held(client)
                eventually(lambda: _all_tick(client, name), CAPTURE_SECONDS, "a dispatch of each clock")
                time.sleep(BEFORE_SECONDS)
                survivor = client.pid("stream-0")
                assert survivor is not None
                cpu, killed_at = cpu_seconds(survivor), client.now()
                worker.kill()
                time.sleep(AFTER_SECONDS)
                used = cpu_seconds(survivor) - cpu
                gaps = sorted(_gaps(client, name, held, killed_at).values())
            bench.say(f"partitions {sorted(held)} dispatched again after {', '.join(f'{gap:.1f}' for gap in gaps)} s")
            what = f"kill {turn + 1}, {len(gaps)} partitions"
            yield Line(what=f"{what}: first", value=gaps[0], unit="s", baseline=baseline)
            yield Line(what=f"{what}: median", value=percentile(gaps, 0.5), unit="s")
            yield Line(what=f"{what}: last", value=gaps[-1], unit="s", at_most=7)
            yield Line(what=f"{what}: CPU of the other worker in {AFTER_SECONDS} s", value=used, unit="s")


def _make_runs(client: StackClient, name: str, runs: int) -> None:
    """`runs` that wait until tomorrow, and as many that were cancelled, in all partitions."""
    for kind, wanted in (("gone", 0), ("open", runs)):
        client.database.execute(MADE, [name, CLOCKS, RUN_JOBS, kind, runs])
        if kind == "gone":
            eventually(lambda: _open(client, name) == runs, RUNS_SECONDS, "the runs to cancel")
            client.database.execute(CANCELLED, [name, CLOCKS, RUN_JOBS])
        eventually(lambda: _open(client, name) == wanted, RUNS_SECONDS, f"{wanted} open runs")  # noqa: B023 - as above


def _open(client: StackClient, name: str) -> int:
    query = (
        "select count(*) as n from runs where starts_with(job_id, %s) and kind = 'requested' and finished_at is null"
    )
    return int(client.rows(query, [name])[0]["n"])


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
    return max(_gaps(client, name, held, killed_at).values())


def _gaps(client: StackClient, name: str, held: set[int], killed_at: datetime) -> dict[int, float]:
    """By partition of the dead worker: seconds from the kill to the next dispatch."""
    first: dict[int, datetime] = {}
    for row in client.rows(DISPATCHED, [name, killed_at]):
        first.setdefault(partition_of(row["job_id"], client.connections.partitions), row["dispatched_at"])
    clocks = {partition_of(f"{name}{number}", client.connections.partitions) for number in range(CLOCKS)}
    missing = (held & clocks) - first.keys()
    if missing:
        raise NotMeasuredError(
            f"partitions {sorted(missing)} dispatched nothing within {AFTER_SECONDS} s; see {STATUS}"
        )
    return {each: (first[each] - killed_at).total_seconds() for each in held & clocks}


FIGURES = (
    Figure(
        name="failover",
        claim="failover after kill -9 of a stream worker with 10,000 jobs: next dispatch",
        measure=measure,
    ),
    Figure(
        name="takeover",
        claim="kill -9 of one of two stream workers with 100,000 open and 100,000 cancelled runs: next dispatch",
        measure=measure_history,
    ),
)
