"""Kills an executor with -9, and measures how long each of its runs takes to run again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from bench.figure import Bench, Figure, Line, percentile
from bench.stacks import Shape, jobs
from schemas.ids import RunId
from streams.core.settings import CoreSettings
from tests.support.stack_client import StackClient
from tests.support.waiting import eventually

RUNS = 16
"""One run for each of this many jobs, which are in all partitions, and so on both executors."""
VICTIM = "executor-0"
LASTING = "#!/bin/sh\n[ $TIDEMILL_ATTEMPT = 1 ] && exec sleep 300\ntrue\n"
SLACK = timedelta(seconds=3)
AGAIN = """
select extract(epoch from started_at - %s)::float8 as seconds
from attempts where run_id = any (%s) and attempt = 2 and started_at is not null
"""
HELD = "select run_id from runs where run_id = any (%s) and state = 'running' and starts_with(executor_id, %s)"


def measure(bench: Bench) -> Iterator[Line]:
    client = bench.stacks.get(Shape(executors=2))
    lease = CoreSettings().lease
    for turn in range(bench.pick(2, 1)):
        found = _killed(client, f"lost{turn}-", lease)
        bench.say(f"{len(found)} runs ran again after {min(found):.1f} to {max(found):.1f} s")
        baseline = f"lease {lease.total_seconds():.0f} s; {len(found)} runs, median {percentile(found, 0.5):.1f} s"
        at_most = (lease + SLACK).total_seconds()
        yield Line(
            what=f"kill {turn + 1}, the last run", value=max(found), unit="s", at_most=at_most, baseline=baseline
        )


def _killed(client: StackClient, name: str, lease: timedelta) -> list[float]:
    executable = client.put_object(f"bench/{name}", LASTING.encode())
    columns = {"executable": executable, "timeout": "10 min", "timeout_class": "1h"}
    rows = [{"job_id": f"{name}{number}", **columns} for number in range(RUNS)]
    with jobs(client, rows):
        runs: list[RunId] = [client.request(row["job_id"], row["job_id"]) for row in rows]
        for run_id in runs:
            client.wait_for_state(run_id, "running")
        held = [each["run_id"] for each in client.rows(HELD, [runs, VICTIM])]
        killed_at = client.now()
        client.kill(VICTIM)
        limit = 3 * lease.total_seconds()
        eventually(lambda: len(client.rows(AGAIN, [killed_at, held])) == len(held), limit, "all of them again")
        for run_id in set(runs) - set(held):
            client.insert("requests", request_id=f"stop-{run_id.rpartition('#')[2]}", kind="terminate", run_id=run_id)
        return [float(each["seconds"]) for each in client.rows(AGAIN, [killed_at, held])]


FIGURES = (Figure(name="lost", claim="executor killed: its runs run again within lease + 3 s", measure=measure),)
